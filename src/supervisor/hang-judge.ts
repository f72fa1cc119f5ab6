/**
 * Decides which agents hang, from what is seen of them and from nothing else: it owns no timer, no thread, no clock. It
 * distrusts itself first. When its own look came late, the machine slept or was too busy to look; when most agents fell
 * silent together, the disk, the memory or the machine did it. Then nobody is judged and every clock starts anew: an
 * agent that is killed by mistake costs more than one that hangs for two seconds longer.
 */

/** What is seen of one agent that has become ready. */
export interface AgentSigns {
  readonly id: string;
  readonly incarnation: number;
  /** `hung`: it is being read and ended. `stalled`: it was found in a call that cannot be read. */
  readonly phase: 'running' | 'hung' | 'stalled';
  /** Any number that is another one when the agent's event loop has turned. */
  readonly beats: number;
  /** Any number that is another one when its work has moved on. */
  readonly progress: number;
  /** A slow disk is no hang. */
  readonly isInStorage: boolean;
  /** Silence after which it hangs, and after which a call that cannot be read counts as never ending. */
  readonly hangMs: number;
  readonly nativeStallMs: number;
}

export interface Verdict {
  readonly type: 'hung' | 'stalled' | 'recovered' | 'wedged';
  readonly id: string;
  readonly incarnation: number;
  /** Without any sign of life. */
  readonly silentMs: number;
}

export interface HangJudge {
  /** To be called every `lookMs`. */
  look(nowMs: number, agents: readonly AgentSigns[]): readonly Verdict[];
}

export interface HangJudgeOptions {
  readonly heartbeatMs: number;
  /** The interval at which `look` is meant to be called. */
  readonly lookMs: number;
}

/** Half of fewer than this is no crowd. */
const CROWD_MIN = 3;
/** How often in a row silence of most agents excuses all of them. */
const AMNESTIES_MAX = 3;
/** One that could not be read is tried again after this many times `hangMs`: it may have left the native call. */
const READ_AGAIN_AFTER = 5;

interface Watched {
  readonly incarnation: number;
  beats: number;
  progress: number;
  /** Last sign of life, or when its clock was started anew. */
  seenMs: number;
  told: 'nothing' | 'hung' | 'stalled' | 'wedged';
  toldMs: number;
}

export function createHangJudge(options: HangJudgeOptions): HangJudge {
  return new Judge(options);
}

class Judge implements HangJudge {
  readonly #heartbeatMs: number;
  readonly #lookMs: number;
  readonly #watched = new Map<string, Watched>();
  #lastLookMs: number | undefined;
  #amnesties = 0;
  /** Who was silent at the last one and has given no sign since. */
  #excused = new Set<string>();

  constructor({ heartbeatMs, lookMs }: HangJudgeOptions) {
    this.#heartbeatMs = heartbeatMs;
    this.#lookMs = lookMs;
  }

  look(nowMs: number, agents: readonly AgentSigns[]): readonly Verdict[] {
    const lateMs = this.#lastLookMs === undefined ? 0 : nowMs - this.#lastLookMs - this.#lookMs;
    this.#lastLookMs = nowMs;
    this.#forgetOthers(agents);
    const recovered = agents.flatMap((signs) => this.#takeSigns(nowMs, signs) ?? []);
    if (this.#excused.size <= agents.length / 2) this.#amnesties = 0;
    if (lateMs > this.#heartbeatMs / 2) {
      this.#startClocksAnew(nowMs);
      return recovered;
    }
    const verdicts = agents.flatMap((signs) => {
      const type = this.#opinion(nowMs, signs);
      return type === undefined ? [] : [verdict(type, signs, this.#silentFor(nowMs, signs))];
    });
    // A slow disk may be told of all agents at once; that they are ended for it may not.
    const isSevere = verdicts.some(({ type }) => type !== 'stalled');
    if (isSevere && this.#excuse(nowMs, agents)) return recovered;
    for (const { id, type } of verdicts) {
      const known = this.#watched.get(id);
      if (known) Object.assign(known, { told: type, toldMs: nowMs });
    }
    return [...recovered, ...verdicts];
  }

  /** What is not looked at any more starts with a new clock when it comes back. */
  #forgetOthers(agents: readonly AgentSigns[]): void {
    const present = new Set(agents.map(({ id }) => id));
    for (const id of this.#watched.keys()) if (!present.has(id)) this.#watched.delete(id);
    for (const id of this.#excused) if (!present.has(id)) this.#excused.delete(id);
  }

  #startClocksAnew(nowMs: number): void {
    for (const agent of this.#watched.values()) {
      agent.seenMs = nowMs;
      agent.toldMs = nowMs;
    }
  }

  /** `recovered` when it gave a sign of life after something had been said of it. */
  #takeSigns(nowMs: number, signs: AgentSigns): Verdict | undefined {
    const { id, incarnation, beats, progress } = signs;
    const known = this.#watched.get(id);
    if (known?.incarnation === incarnation && known.beats === beats && known.progress === progress) {
      return undefined;
    }
    this.#watched.set(id, { incarnation, beats, progress, seenMs: nowMs, told: 'nothing', toldMs: nowMs });
    this.#excused.delete(id);
    const hasRecovered = known?.incarnation === incarnation && known.told !== 'nothing';
    return hasRecovered ? verdict('recovered', signs, nowMs - known.seenMs) : undefined;
  }

  #silentFor(nowMs: number, { id }: AgentSigns): number {
    return nowMs - (this.#watched.get(id)?.seenMs ?? nowMs);
  }

  #opinion(nowMs: number, signs: AgentSigns): Verdict['type'] | undefined {
    const known = this.#watched.get(signs.id);
    if (known === undefined || known.told === 'wedged' || signs.phase === 'hung') return undefined;
    // Looks are as inexact as timers: the one that comes a moment early counts.
    const isSilentFor = (ms: number): boolean => this.#silentFor(nowMs, signs) >= ms - this.#lookMs / 2;
    const toldForMs = nowMs - known.toldMs;
    if (!isSilentFor(signs.hangMs)) return undefined;
    if (signs.isInStorage || signs.phase === 'stalled') {
      if (isSilentFor(signs.nativeStallMs)) return 'wedged';
      if (signs.phase === 'running') return known.told === 'nothing' ? 'stalled' : undefined;
      return !signs.isInStorage && toldForMs >= READ_AGAIN_AFTER * signs.hangMs ? 'hung' : undefined;
    }
    // Told before and still running: its loop turned when it was looked at, or it left the database without a sign.
    return known.told === 'nothing' || toldForMs >= signs.hangMs ? 'hung' : undefined;
  }

  /** Whether so many are silent that none of them can be blamed, and they have not been excused too often. */
  #excuse(nowMs: number, agents: readonly AgentSigns[]): boolean {
    const silentMs = this.#heartbeatMs + this.#lookMs;
    const silent = agents.filter((signs) => this.#silentFor(nowMs, signs) > silentMs);
    const isCrowd = agents.length >= CROWD_MIN && silent.length > agents.length / 2;
    if (!isCrowd || this.#amnesties === AMNESTIES_MAX) return false;
    this.#amnesties += 1;
    this.#excused = new Set(silent.map(({ id }) => id));
    this.#startClocksAnew(nowMs);
    return true;
  }
}

function verdict(type: Verdict['type'], { id, incarnation }: AgentSigns, silentMs: number): Verdict {
  return { type, id, incarnation, silentMs };
}
