/**
 * How one agent is supervised. The vocabulary is OTP's, so its documentation applies:
 * https://www.erlang.org/doc/apps/stdlib/supervisor.html
 */
import { ERRORS, type ErrorCode, type WireError } from '../contract/errors.ts';

export interface ChildSpec {
  /** Base name of the agent's directory; unique within a supervisor. */
  readonly id: string;
  /** Real path of the agent's directory. */
  readonly dir: string;
  /** permanent: always restart. transient: restart after a crash only. temporary: never. */
  readonly restart: 'permanent' | 'transient' | 'temporary';
  /** More than `intensity` restarts within `periodMs`, and the child is quarantined. */
  readonly intensity: number;
  readonly periodMs: number;
  /** Pause before a restart: full jitter below a bound that doubles from min to max with each crash in the window. */
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  /** After running this long, earlier crashes are forgotten. */
  readonly stableMs: number;
  readonly startTimeoutMs: number;
  /** Time for running turns to end, then for sockets, bridges and database to close. */
  readonly drainMs: number;
  readonly closeMs: number;
  /** Silence after which an agent hangs; a native call or a disk that stalls is waited for as long as the second. */
  readonly hangMs: number;
  readonly nativeStallMs: number;
  /** Held for three heartbeats: restarted when it rests. Undefined: no limit. */
  readonly memorySoftBytes: number | undefined;
  /** Held once: interrupted and restarted. */
  readonly memoryHardBytes: number | undefined;
  /** Earlier contents of its configuration that are kept. */
  readonly configVersions: number;
}

export const DEFAULT_SPEC = {
  restart: 'permanent',
  intensity: 5,
  periodMs: 60_000,
  backoffMsMin: 250,
  backoffMsMax: 30_000,
  stableMs: 60_000,
  startTimeoutMs: 15_000,
  drainMs: 5_000,
  closeMs: 2_000,
  hangMs: 2_000,
  nativeStallMs: 60_000,
  memorySoftBytes: undefined,
  memoryHardBytes: undefined,
  configVersions: 10,
} as const satisfies Omit<ChildSpec, 'id' | 'dir'>;

/** The rungs of the kill ladder after `drainMs + closeMs`, the time the worker itself plans by. */
export const LADDER = {
  /** For the worker's own exit to reach us. */
  graceMs: 500,
  /** For a stuck thread to be read, freed and ended. */
  interruptMs: 2_000,
  /** For one that hangs to be read, or for it to exit after that. */
  examineMs: 4_000,
  /** For `terminate` or SIGKILL; what is still there then is stuck in a native call. */
  killMs: 5_000,
} as const;

/** How long a stop takes at most: each step begins when the one before has run out, or is skipped where it ended. */
export interface Deadlines {
  readonly drainMs: number;
  readonly closeMs: number;
  readonly graceMs: number;
  readonly interruptMs: number;
  readonly killMs: number;
}

/** The largest of several agents; undefined where there is none. */
export function longestDeadlines(
  specs: readonly Pick<ChildSpec, 'drainMs' | 'closeMs'>[],
): Deadlines | undefined {
  if (specs.length === 0) return undefined;
  return {
    drainMs: Math.max(...specs.map(({ drainMs }) => drainMs)),
    closeMs: Math.max(...specs.map(({ closeMs }) => closeMs)),
    graceMs: LADDER.graceMs,
    interruptMs: LADDER.interruptMs,
    killMs: LADDER.killMs,
  };
}

/** What an agent's own start-up can fail with; other codes answer requests. */
const START_FAMILIES = ['config', 'directory', 'bind', 'storage', 'transport', 'worker'] as const;

/**
 * Failures that the next start would meet again until a person mends something: the child is quarantined at once
 * instead of crashing its way through the intensity. Derived from the table, so a new code decides by its `retryable`.
 * A locked database, a full disk and a busy port range are retryable there and go through backoff.
 */
export const FATAL_CODES: ReadonlySet<ErrorCode> = new Set(
  (Object.keys(ERRORS) as ErrorCode[]).filter(
    (code) => !ERRORS[code].retryable && START_FAMILIES.some((family) => code.startsWith(`${family}.`)),
  ),
);

/** Whether somebody can mend it in the agent's directory or its configuration. */
export function isStartFailure(code: ErrorCode | undefined): boolean {
  if (code === 'agent.start_timeout') return true;
  return code !== undefined && START_FAMILIES.some((family) => code.startsWith(`${family}.`));
}

/** What survives the death of the host: without it, whoever kills the host would begin with a clean record each time. */
export interface ChildPast {
  /** When each crash that counts happened, milliseconds since the Unix epoch, newest last. */
  readonly crashesMs: readonly number[];
  /** `crashed`: the host's death is charged to it, and counts as one more crash. */
  readonly state: 'none' | 'crashed' | 'quarantined' | 'stopped';
  readonly reason: WireError | undefined;
}

/** A wall clock that was set back meanwhile must not make crashes of the future. */
export function toMonotonic(
  wallMs: readonly number[],
  clock: { monotonicMs(): number; wallMs(): number },
): readonly number[] {
  const [nowMs, wallNowMs] = [clock.monotonicMs(), clock.wallMs()];
  return wallMs.map((at) => nowMs - Math.max(0, wallNowMs - at));
}

/** OTP's add_restart: keep the restarts inside the window, newest last. */
export function recordRestart(
  restarts: readonly number[],
  nowMs: number,
  periodMs: number,
): readonly number[] {
  return [...restarts.filter((at) => at > nowMs - periodMs), nowMs];
}

/** Full jitter (`random` in [0, 1)) below an exponentially growing bound; `restartCount` starts at 1. */
export function backoffMs(spec: ChildSpec, restartCount: number, random: number): number {
  const bound = Math.min(spec.backoffMsMin * 2 ** Math.max(0, restartCount - 1), spec.backoffMsMax);
  return Math.round(bound * random);
}
