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

export function createHangJudge({ heartbeatMs, lookMs }: HangJudgeOptions): HangJudge {
  const watched = new Map<string, Watched>();
  let lastLookMs: number | undefined;
  let amnesties = 0;
  /** Who was silent at the last one and has given no sign since. */
  let excused = new Set<string>();

  function startClocksAnew(nowMs: number): void {
    for (const agent of watched.values()) {
      agent.seenMs = nowMs;
      agent.toldMs = nowMs;
    }
  }

  /** Those that gave a sign of life since the last look, after something had been said of them. */
  function takeSigns(nowMs: number, agents: readonly AgentSigns[]): Verdict[] {
    const recovered: Verdict[] = [];
    for (const signs of agents) {
      const known = watched.get(signs.id);
      if (known === undefined || known.incarnation !== signs.incarnation) {
        const { incarnation, beats, progress } = signs;
        const fresh = { incarnation, beats, progress, seenMs: nowMs, toldMs: nowMs };
        watched.set(signs.id, { ...fresh, told: 'nothing' });
        continue;
      }
      if (known.beats === signs.beats && known.progress === signs.progress) continue;
      excused.delete(signs.id);
      if (known.told !== 'nothing') recovered.push(verdict('recovered', signs, nowMs - known.seenMs));
      known.beats = signs.beats;
      known.progress = signs.progress;
      known.seenMs = nowMs;
      known.told = 'nothing';
    }
    return recovered;
  }

  /** What is not looked at any more starts with a new clock when it comes back. */
  function forgetOthers(agents: readonly AgentSigns[]): void {
    const present = new Set(agents.map(({ id }) => id));
    for (const id of watched.keys()) if (!present.has(id)) watched.delete(id);
    for (const id of excused) if (!present.has(id)) excused.delete(id);
  }

  function silentFor(nowMs: number, { id }: AgentSigns): number {
    return nowMs - (watched.get(id)?.seenMs ?? nowMs);
  }

  function opinion(nowMs: number, signs: AgentSigns): Verdict['type'] | undefined {
    const known = watched.get(signs.id);
    if (known === undefined || known.told === 'wedged' || signs.phase === 'hung') return undefined;
    // Looks are as inexact as timers: the one that comes a moment early counts.
    const isSilentFor = (ms: number): boolean => silentFor(nowMs, signs) >= ms - lookMs / 2;
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
  function excuse(nowMs: number, agents: readonly AgentSigns[]): boolean {
    const silent = agents.filter((signs) => silentFor(nowMs, signs) > heartbeatMs + lookMs);
    const isCrowd = agents.length >= CROWD_MIN && silent.length > agents.length / 2;
    if (!isCrowd || amnesties === AMNESTIES_MAX) return false;
    amnesties += 1;
    excused = new Set(silent.map(({ id }) => id));
    startClocksAnew(nowMs);
    return true;
  }

  return {
    look: (nowMs, agents) => {
      const lateMs = lastLookMs === undefined ? 0 : nowMs - lastLookMs - lookMs;
      lastLookMs = nowMs;
      forgetOthers(agents);
      const recovered = takeSigns(nowMs, agents);
      if (excused.size <= agents.length / 2) amnesties = 0;
      if (lateMs > heartbeatMs / 2) {
        startClocksAnew(nowMs);
        return recovered;
      }
      const verdicts = agents.flatMap((signs) => {
        const type = opinion(nowMs, signs);
        return type === undefined ? [] : [verdict(type, signs, silentFor(nowMs, signs))];
      });
      // A slow disk may be told of all agents at once; that they are ended for it may not.
      const isSevere = verdicts.some(({ type }) => type !== 'stalled');
      if (isSevere && excuse(nowMs, agents)) return recovered;
      for (const { id, type } of verdicts) {
        const known = watched.get(id);
        if (known) Object.assign(known, { told: type, toldMs: nowMs });
      }
      return [...recovered, ...verdicts];
    },
  };
}

function verdict(type: Verdict['type'], { id, incarnation }: AgentSigns, silentMs: number): Verdict {
  return { type, id, incarnation, silentMs };
}
