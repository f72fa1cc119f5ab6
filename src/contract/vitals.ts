/**
 * What can be seen of an agent while it is stuck. A thread that loops answers nobody, but it shares a piece of memory
 * with its supervisor: how often its loop turned, how far its work got, and what it is in the middle of. Without it a
 * hang in a bridge and a slow disk look the same from outside. An agent in a process of its own keeps the same marks for
 * itself; whoever writes them to disk listens by `onChange`.
 *
 * Nothing here throws or waits: marks are set around every commit.
 */

/** `storage`: inside the database, where a slow disk must not be taken for a hang. */
export const ACTIVITY_KINDS = ['start', 'storage', 'model', 'bridge', 'tool'] as const;
export type ActivityKind = (typeof ACTIVITY_KINDS)[number];

export interface Activity {
  readonly kind: ActivityKind;
  /** For people: `bridge weather`, `turn 7-1a session s1`, `commit of 12`. */
  readonly detail: string;
  /** Milliseconds since the Unix epoch. */
  readonly sinceMs: number;
}

/** The side of the agent. */
export interface Vitals {
  /** The event loop turned. */
  beat(): void;
  /** A step of useful work. */
  progress(): void;
  progressCount(): number;
  /** Call what it gives back when the activity is over; again is harmless. The newest activity comes last. */
  enter(kind: ActivityKind, detail: string): () => void;
  activities(): readonly Activity[];
  /** Hears of every enter and leave, at once. */
  onChange: ((activities: readonly Activity[]) => void) | undefined;
}

/** The side of the supervisor, at one moment. */
export interface VitalsReading {
  readonly beats: number;
  /** Steps of work, and of going into the database and out of it. */
  readonly progress: number;
  /** Oldest first; at most `ACTIVITIES_MAX`. */
  readonly activities: readonly Activity[];
}

/** The newest of more than that are shown. */
export const ACTIVITIES_MAX = 8;
const DETAIL_BYTES_MAX = 104;

// Layout: eight Int32 (beats, progress, sequence, count, visits of the database, spare), then per activity its start (Float64), kind and length (Int32
// each) and text. The sequence is odd while the list is being written.
const BEATS = 0;
const PROGRESS = 1;
const SEQUENCE = 2;
const COUNT = 3;
const STORAGE = 4;
const HEAD_BYTES = 32;
const SLOT_BYTES = 16 + DETAIL_BYTES_MAX;
export const VITALS_BYTES = HEAD_BYTES + ACTIVITIES_MAX * SLOT_BYTES;
const READ_ATTEMPTS_MAX = 3;

/** Without a buffer the marks stay inside, for an agent whose supervisor cannot share memory with it. */
export function createVitals(buffer?: SharedArrayBuffer, wallMs: () => number = Date.now): Vitals {
  const memory = buffer ?? new SharedArrayBuffer(VITALS_BYTES);
  const head = new Int32Array(memory, 0, HEAD_BYTES / 4);
  const view = new DataView(memory);
  const encoder = new TextEncoder();
  let current: readonly Activity[] = [];

  function write(): void {
    Atomics.add(head, SEQUENCE, 1);
    const shown = current.slice(-ACTIVITIES_MAX);
    shown.forEach((activity, index) => {
      writeActivity(memory, view, encoder, HEAD_BYTES + index * SLOT_BYTES, activity);
    });
    head[COUNT] = shown.length;
    Atomics.add(head, SEQUENCE, 1);
    vitals.onChange?.(current);
  }

  const vitals: Vitals = {
    beat: () => void Atomics.add(head, BEATS, 1),
    progress: () => void Atomics.add(head, PROGRESS, 1),
    progressCount: () => Atomics.load(head, PROGRESS),
    enter: (kind, detail) => {
      const activity = { kind, detail, sinceMs: wallMs() };
      current = [...current, activity];
      if (kind === 'storage') Atomics.add(head, STORAGE, 1);
      write();
      return () => {
        if (!current.includes(activity)) return;
        current = current.filter((other) => other !== activity);
        if (kind === 'storage') Atomics.add(head, STORAGE, 1);
        write();
      };
    },
    activities: () => current,
    onChange: undefined,
  };
  return vitals;
}

function writeActivity(
  memory: SharedArrayBuffer,
  view: DataView,
  encoder: Pick<InstanceType<typeof TextEncoder>, 'encode'>,
  offset: number,
  { kind, detail, sinceMs }: Activity,
): void {
  // encodeInto does not take shared memory; a detail is short.
  const text = encoder.encode(detail).subarray(0, DETAIL_BYTES_MAX);
  view.setFloat64(offset, sinceMs);
  view.setInt32(offset + 8, ACTIVITY_KINDS.indexOf(kind));
  view.setInt32(offset + 12, text.length);
  new Uint8Array(memory, offset + 16, text.length).set(text);
}

/** Never waits for the writer: of one that is stuck in the middle of a change, the last word may be half of another. */
export function readVitals(buffer: SharedArrayBuffer): VitalsReading {
  const head = new Int32Array(buffer, 0, HEAD_BYTES / 4);
  const beats = Atomics.load(head, BEATS);
  const progress = Atomics.load(head, PROGRESS) + Atomics.load(head, STORAGE);
  let activities: readonly Activity[] = [];
  for (let attempt = 0; attempt < READ_ATTEMPTS_MAX; attempt += 1) {
    const before = Atomics.load(head, SEQUENCE);
    activities = readActivities(buffer, head[COUNT] ?? 0);
    if (before % 2 === 0 && Atomics.load(head, SEQUENCE) === before) break;
  }
  return { beats, progress, activities };
}

/** User code in the agent could write anything there: whatever it is, it is read as text of bounded length. */
function readActivities(buffer: SharedArrayBuffer, count: number): readonly Activity[] {
  const view = new DataView(buffer);
  const decoder = new TextDecoder();
  const length = Math.min(Math.max(count, 0), ACTIVITIES_MAX);
  return Array.from({ length }, (_, index) => {
    const offset = HEAD_BYTES + index * SLOT_BYTES;
    const bytes = Math.min(Math.max(view.getInt32(offset + 12), 0), DETAIL_BYTES_MAX);
    return {
      kind: ACTIVITY_KINDS[view.getInt32(offset + 8)] ?? 'start',
      // Decoders refuse shared memory: a copy.
      detail: decoder.decode(new Uint8Array(buffer, offset + 16, bytes).slice()),
      sinceMs: view.getFloat64(offset),
    };
  });
}

/** `bridge weather` where the detail says it all, `storage: commit of 12` where it does not. */
export function activityLabel({ kind, detail }: Activity): string {
  return detail.startsWith(kind) ? detail : `${kind} ${detail}`;
}

/**
 * `globalThis[Symbol.for(AGENT_FACTS)]` of an agent tells what it is doing. It is called while the agent is paused in
 * the middle of anything, so it only looks: no regular expressions, no I/O.
 */
export const AGENT_FACTS = 'openagent.facts';

export interface AgentFacts {
  /** `turn 7-1a of session s1`, at most a few. */
  readonly turns: readonly string[];
  /** Share of its life that the event loop was busy, 0 to 1. */
  readonly loopUtilization: number;
}

const FACTS_CHARS_MAX = 10_000;
const TURNS_MAX = 20;

export function toAgentFacts(json: string): AgentFacts | undefined {
  try {
    const { turns, loopUtilization } = JSON.parse(json.slice(0, FACTS_CHARS_MAX)) as Record<string, unknown>;
    if (!Array.isArray(turns) || typeof loopUtilization !== 'number') return undefined;
    const told = turns.filter((turn): turn is string => typeof turn === 'string');
    return { turns: told.slice(0, TURNS_MAX), loopUtilization };
  } catch {
    return undefined; // Not what we wrote: the rest of what was read still counts.
  }
}

/** The pipe between an agent's process and its supervisor that its monitor speaks over. */
export const MONITOR_FD = 4;
