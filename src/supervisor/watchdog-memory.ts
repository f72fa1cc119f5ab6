/**
 * What one life of the host leaves to the next, by way of the launcher, which keeps it unread. Without it every death
 * of the host would give each agent a clean record: one that crashes its way to quarantine would start over, and one
 * that kills the host would never be found out.
 */
import type { WireError } from '../contract/errors.ts';
import { ERRORS } from '../contract/errors.ts';
import type { ChildPast } from './child-spec.ts';

export interface AgentMemory {
  /** Crashes within its own period, milliseconds since the Unix epoch. */
  readonly crashesMs: readonly number[];
  readonly state: 'none' | 'quarantined' | 'stopped';
  readonly reason: WireError | undefined;
  /** Deaths of the host that were charged to it. */
  readonly killsMs: readonly number[];
}

export interface HostMemory {
  /** Told apart from earlier lives: the crumbs of this one carry it. */
  readonly boot: string;
  readonly agents: Readonly<Record<string, AgentMemory>>;
  /** Ids of agents that are started last and alone. */
  readonly suspects: readonly string[];
  /** The one of them that is being tried: if the host dies now, it was that one. */
  readonly onTrial: string | undefined;
  /** An agent because of which the host asked to be replaced. */
  readonly culprit: string | undefined;
  /** Directories that came by command: the command line of the next host does not name them. */
  readonly added: readonly string[];
}

export const NO_PAST: AgentMemory = { crashesMs: [], state: 'none', reason: undefined, killsMs: [] };

/** Written down as it changes; told to the launcher once per turn of the loop, and only when it says something new. */
export class MemoryKeeper {
  readonly #tell: (memory: HostMemory) => void;
  #memory: HostMemory;
  #told = '';
  #isDue = false;
  #isClosed = false;

  constructor(memory: HostMemory, tell: (memory: HostMemory) => void) {
    this.#memory = memory;
    this.#tell = tell;
    this.#flush();
  }

  get memory(): HostMemory {
    return this.#memory;
  }

  record(id: string, { crashesMs, state, reason }: ChildPast): void {
    const killsMs = this.#memory.agents[id]?.killsMs ?? [];
    const past = { crashesMs, state: state === 'crashed' ? 'none' : state, reason, killsMs } as const;
    const isNothing = crashesMs.length === 0 && killsMs.length === 0 && past.state === 'none';
    const { [id]: _, ...others } = this.#memory.agents;
    this.change({ agents: isNothing ? others : { ...others, [id]: past } });
  }

  change(part: Partial<HostMemory>): void {
    this.#memory = { ...this.#memory, ...part };
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => this.#flush());
  }

  /** From here on agents stop because all do, and that is nothing to remember. */
  close(): void {
    this.#isClosed = true;
  }

  /** At once, before something that may be the last thing done. */
  flush(): void {
    this.#flush();
  }

  #flush(): void {
    this.#isDue = false;
    if (this.#isClosed) return;
    const text = JSON.stringify(this.#memory);
    if (text === this.#told) return;
    this.#told = text;
    this.#tell(this.#memory);
  }
}

/** The launcher may be of another version during an update: what does not fit is forgotten, never a reason to fail. */
export function parseMemory(value: unknown): HostMemory | undefined {
  if (!isRecord(value) || typeof value.boot !== 'string' || !isRecord(value.agents)) return undefined;
  const agents: Record<string, AgentMemory> = {};
  for (const [id, past] of Object.entries(value.agents)) agents[id] = toAgentMemory(past);
  return {
    boot: value.boot,
    agents,
    suspects: toTexts(value.suspects),
    onTrial: toText(value.onTrial),
    culprit: toText(value.culprit),
    added: toTexts(value.added),
  };
}

function toAgentMemory(value: unknown): AgentMemory {
  if (!isRecord(value)) return NO_PAST;
  const state = value.state === 'quarantined' || value.state === 'stopped' ? value.state : 'none';
  return {
    crashesMs: toNumbers(value.crashesMs),
    state,
    reason: toReason(value.reason),
    killsMs: toNumbers(value.killsMs),
  };
}

function toReason(value: unknown): WireError | undefined {
  if (!isRecord(value) || typeof value.code !== 'string' || !Object.hasOwn(ERRORS, value.code))
    return undefined;
  return typeof value.message === 'string' ? (value as unknown as WireError) : undefined;
}

const toText = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const toTexts = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
const toNumbers = (value: unknown): readonly number[] =>
  Array.isArray(value) ? value.filter((item) => Number.isFinite(item)) : [];

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
