/**
 * What the host tells whoever started it. Two forms of the same facts: lines and a table for people, one JSON object a
 * line for programs. Both are documented in `docs/command-line.md`; scripts wait for these lines, so they do not change
 * shape. A report only looks on: nothing that happens in here decides anything.
 */
import type { Deadlines } from '../child-spec.ts';
import type { ExitCode } from '../exit-codes.ts';
import type { AgentStatus, ConfigOutcome } from '../fleet.ts';
import type { IncidentNotice } from '../incidents.ts';

export interface Report {
  /** The first thing said: `pid` is the process to signal. */
  started(pid: number, version: string, life?: HostLife): void;
  /** The launcher has died; agents go on. Told once. */
  unwatched(pid: number): void;
  /** Ids that will be reported on, so that columns line up. */
  expect(ids: readonly string[]): void;
  /** A directory that did not exist and was made. */
  created(dir: string): void;
  /** Every change is offered; what has not changed for a reader is left out. */
  agent(status: AgentStatus): void;
  /** An agent came to a fleet that runs, or left it. */
  added(id: string, dir: string): void;
  removed(id: string, dir: string): void;
  /** Its `openagent.yaml` was changed, and what was done about that. */
  config(outcome: ConfigOutcome, id: string): void;
  /** `id` is absent where the warning is about the command line or the supervisor itself. */
  warning(warning: ReportWarning, id: string | undefined): void;
  /** An agent hung, stalled or was given up: what was found, and what is done about it. */
  incident(incident: IncidentNotice, id: string): void;
  /** Once: every agent has started or failed for the first time. Deadlines are the longest of all agents'. */
  settled(agents: readonly AgentStatus[], deadlines: Deadlines | undefined): Promise<void>;
  /** A signal came, and what is done about it. */
  stopping(signal: string, how: 'drain' | 'force'): void;
  /** The last thing said. */
  stopped(exitCode: ExitCode, wedged: readonly string[]): void;
  /** A line an agent's own code printed. */
  output(id: string, line: string): void;
  /** A failure nobody foresaw, with its stack. */
  defect(error: unknown, where?: string): void;
}

/** Whether somebody starts this host again, and how often that has happened. */
export interface HostLife {
  readonly watchdog: 'watched' | 'unwatched' | 'none';
  readonly deaths: number;
  /** Where the fleet gateway answers; absent: not there. */
  readonly socket?: string | undefined;
  readonly url?: string | undefined;
}

/** Like a WireError; the command line's own warnings are no errors anybody is answered with. */
export interface ReportWarning {
  readonly code: string;
  readonly message: string;
}

/** The part of a stream that reports write to. */
export interface ReportStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface ReportOptions {
  readonly out: ReportStream;
  readonly err: ReportStream;
  /** NO_COLOR, FORCE_COLOR and TERM are looked at. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly monotonicMs: () => number;
  readonly wallMs: () => number;
}

/** `http://host:port` of a running agent. An IPv6 literal is bracketed, as URLs want it. */
export function agentUrl(status: Pick<AgentStatus, 'host' | 'port'>): string | undefined {
  if (status.port === undefined) return undefined;
  const host = status.host ?? '127.0.0.1';
  return `http://${host.includes(':') ? `[${host}]` : host}:${status.port}`;
}

/** What answers in an agent. One without a model is no accident of ours, so it is said. */
export function agentModel({ model }: Pick<AgentStatus, 'model'>): string {
  return model === 'echo' ? 'echo (no real model)' : (model ?? '');
}

/** True the first time and whenever something a reader sees has changed: heartbeats are not news. */
export function createChangeFilter(): (status: AgentStatus) => boolean {
  const seen = new Map<string, string>();
  return (status) => {
    // Told once, and may be about the directory of an agent that runs.
    if (status.state === 'refused') return true;
    const { state, name, host, port, model, transport, transportNote, restarts, reason } = status;
    const facts = [state, name, host, port, model, transport, transportNote, restarts, reason];
    const key = JSON.stringify(facts);
    if (seen.get(status.id) === key) return false;
    seen.set(status.id, key);
    return true;
  };
}
