/**
 * Writes down what was found when an agent hung, stalled or was given up: `logs/incidents/<time>.json` of the agent,
 * whole or not at all, without its secrets, the newest fifty kept. It happens after the fact and beside everything else:
 * a disk that refuses it costs the file, never the restart.
 */
import { mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../contract/clock.ts';
import { activityLabel } from '../contract/vitals.ts';
import { createRedactor } from '../logging/redact.ts';
import { type Autopsy, hangText } from './autopsy.ts';
import type { WorkerChild } from './child-sweep.ts';
import type { PreparedAgent } from './fleet.ts';

export interface Incident {
  readonly kind: 'hung' | 'stalled' | 'wedged';
  readonly agent: PreparedAgent;
  readonly incarnation: number;
  readonly silentMs: number;
  readonly autopsy: Autopsy | undefined;
  readonly children: readonly WorkerChild[];
}

/** What an operator is told. */
export interface IncidentNotice {
  readonly kind: Incident['kind'];
  /** `hung for 2.0 s in spin (bridges/spin.mjs:12), bridge spin: interrupted and restarted` */
  readonly text: string;
  /** Undefined when it could not be written, or not in time. */
  readonly file: string | undefined;
}

const KEPT = 50;
const WRITE_MS = 1_000;
const LOG_LINES = 20;
/** Twenty lines of a log are hardly ever longer. */
const LOG_TAIL_BYTES = 64 * 1024;

/** Writes it and says how to tell of it; never rejects. */
export async function recordIncident(
  incident: Incident,
  clock: Clock,
  onDefect: (error: unknown, where: string) => void,
): Promise<IncidentNotice> {
  const { agent, kind } = incident;
  const redact = redactorOf(agent.settings.secrets);
  const text = redact(
    `${hangText(VERBS[kind], incident.silentMs, incident.autopsy)}: ${whatIsDone(incident)}`,
  );
  try {
    const file = await inTime(write(incident, text, redact, clock), clock);
    return { kind, text, file };
  } catch (error) {
    onDefect(error, `incident of ${agent.spec.id}`);
    return { kind, text, file: undefined };
  }
}

/** It may be the very disk that does not answer: the file follows when it does, the operator need not wait for it. */
async function inTime<T>(work: Promise<T>, clock: Clock): Promise<T | undefined> {
  let timer: unknown;
  const late = new Promise<undefined>((resolve) => {
    timer = clock.setTimeout(() => resolve(undefined), WRITE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clock.clearTimeout(timer);
  }
}

const VERBS = { hung: 'hung', stalled: 'stalled', wedged: 'has not answered' } as const;

function whatIsDone({ kind, agent, autopsy }: Incident): string {
  if (kind === 'stalled') return 'waiting for it to come back';
  const isProcess = agent.isolation === 'process';
  if (kind === 'wedged') return isProcess ? 'killed and restarted' : 'it cannot be ended alone';
  return autopsy?.outcome === 'ended' ? 'interrupted and restarted' : 'killed and restarted';
}

type RedactText = (text: string) => string;

function redactorOf(secrets: readonly string[]): RedactText {
  const redact = createRedactor(secrets);
  return (text) => (JSON.parse(redact(`${JSON.stringify({ event: '', text })}\n`)) as { text: string }).text;
}

async function write(incident: Incident, text: string, redact: RedactText, clock: Clock): Promise<string> {
  const { agent, autopsy } = incident;
  const logDir = join(agent.spec.dir, 'logs');
  const dir = join(logDir, 'incidents');
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const time = new Date(clock.wallMs()).toISOString();
  const record = {
    ts: clock.wallMs() / 1000,
    event: `agent.${incident.kind}`,
    agent: agent.spec.id,
    text,
    isolation: agent.isolation,
    incarnation: incident.incarnation,
    silent_ms: Math.round(incident.silentMs),
    outcome: autopsy?.outcome ?? null,
    stack: autopsy?.stack.map(redact) ?? [],
    activities:
      autopsy?.activities.map((activity) => ({
        what: redact(activityLabel(activity)),
        since: new Date(activity.sinceMs).toISOString(),
      })) ?? [],
    turns: autopsy?.facts?.turns.map(redact) ?? [],
    heap_used_bytes: autopsy?.heap?.usedBytes ?? null,
    heap_total_bytes: autopsy?.heap?.totalBytes ?? null,
    loop_utilization: autopsy?.facts?.loopUtilization ?? null,
    children: incident.children.map(({ pid, command }) => ({ pid: pid ?? null, command: redact(command) })),
    log: (await tailOf(join(logDir, 'events.jsonl'))).map(redact),
    output: autopsy?.output.map(redact) ?? [],
  };
  const file = join(dir, `${time.replaceAll(':', '-')}.json`);
  await writeFile(`${file}.tmp`, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.tmp`, file);
  await removeOldest(dir);
  return file;
}

/** The last lines of a log that may be large. */
async function tailOf(file: string): Promise<readonly string[]> {
  const handle = await open(file, 'r').catch(() => undefined); // no log yet
  if (handle === undefined) return [];
  try {
    const { size } = await handle.stat();
    const start = Math.max(0, size - LOG_TAIL_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - start), 0, size - start, start);
    const lines = buffer.toString('utf8', 0, bytesRead).split('\n');
    // The first one is half a line when the file is longer than what was read.
    return lines
      .slice(start > 0 ? 1 : 0)
      .filter(Boolean)
      .slice(-LOG_LINES);
  } finally {
    await handle.close();
  }
}

/** Their names are times: the oldest sort first. */
async function removeOldest(dir: string): Promise<void> {
  const names = (await readdir(dir)).filter((name) => name.endsWith('.json')).sort();
  await Promise.all(names.slice(0, -KEPT).map((name) => rm(join(dir, name), { force: true })));
}
