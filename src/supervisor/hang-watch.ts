/**
 * Looks at every running agent several times a heartbeat and puts what it sees before the judge; verdicts become events
 * of the child machines. A thread's marks are read from memory it shares with us, so it is seen also while it is stuck;
 * an agent process is known by its heartbeats.
 */
import type { Clock } from '../contract/clock.ts';
import { type Activity, readVitals } from '../contract/vitals.ts';
import type { ChildSnapshot } from './child-facts.ts';
import { type AgentSigns, createHangJudge } from './hang-judge.ts';
import type { ChildActor } from './supervisor.machine.ts';
import type { WorkerActorInput } from './worker-host.ts';

/** Looks per heartbeat: a hang is known that much of a heartbeat after it could be. */
const LOOKS = 5;

export interface HangWatch {
  /** Where the newest incarnation of a thread keeps its marks. */
  noteVitals(input: WorkerActorInput, vitals: SharedArrayBuffer): void;
  /** It is supervised no more. */
  forget(id: string): void;
  stop(): void;
}

export function startHangWatch(options: {
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly children: () => Iterable<ChildActor>;
}): HangWatch {
  const { clock, heartbeatMs, children } = options;
  const lookMs = heartbeatMs / LOOKS;
  const judge = createHangJudge({ heartbeatMs, lookMs });
  const vitalsById = new Map<string, { readonly incarnation: number; readonly vitals: SharedArrayBuffer }>();
  let timer = clock.setTimeout(look, lookMs);

  function look(): void {
    timer = clock.setTimeout(look, lookMs);
    const actors = new Map<string, ChildActor>();
    const signs: AgentSigns[] = [];
    for (const child of children()) {
      const seen = signsOf(child.getSnapshot());
      if (seen === undefined) continue;
      signs.push(seen);
      actors.set(seen.id, child);
    }
    for (const { type, id, silentMs } of judge.look(clock.monotonicMs(), signs)) {
      // Nobody reads the stack of one that waits for a disk; others are read.
      const activities = type === 'stalled' ? activitiesOf(id) : undefined;
      actors.get(id)?.send({ type: `judge.${type}`, silentMs, ...(activities && { activities }) });
    }
  }

  function activitiesOf(id: string): readonly Activity[] | undefined {
    const shared = vitalsById.get(id);
    return shared && readVitals(shared.vitals).activities;
  }

  /** Undefined while there is nothing to judge: it is not up, on its way down, or has never shown a sign. */
  function signsOf({ value, context, status }: ChildSnapshot): AgentSigns | undefined {
    if (status !== 'active' || typeof value !== 'object') return undefined;
    const phase = PHASES[value.alive];
    if (phase === undefined || (value.alive === 'wedged' && context.intent !== 'none')) return undefined;
    const { agent, incarnation, beat } = context;
    const { id, hangMs, nativeStallMs } = agent.spec;
    const shared = vitalsById.get(id);
    const vitals = shared?.incarnation === incarnation ? readVitals(shared.vitals) : undefined;
    const [beats, progress] = vitals
      ? [vitals.beats, vitals.progress]
      : [beat?.atMs ?? 0, beat?.progress ?? 0];
    if (beats === 0) return undefined;
    const isInStorage = vitals?.activities.some(({ kind }) => kind === 'storage') ?? false;
    return { id, incarnation, phase, beats, progress, isInStorage, hangMs, nativeStallMs };
  }

  return {
    noteVitals: ({ agent, incarnation }, vitals) => {
      if (agent.isolation === 'thread') vitalsById.set(agent.spec.id, { incarnation, vitals });
    },
    forget: (id) => void vitalsById.delete(id),
    stop: () => clock.clearTimeout(timer),
  };
}

const PHASES: Readonly<Record<string, AgentSigns['phase']>> = {
  running: 'running',
  hung: 'hung',
  stalled: 'stalled',
  wedged: 'stalled',
};
