/**
 * After the death of a host: what the next one does about it. Puts together what the launcher kept, what the agents'
 * crumbs say, and what each agent starts with because of it.
 */
import { randomUUID } from 'node:crypto';
import type { Breadcrumb } from '../contract/breadcrumb.ts';
import type { Clock } from '../contract/clock.ts';
import type { ChildPast } from './child-spec.ts';
import { type HostDeath, judgeDeath, type Verdict, withCharge } from './suspects.ts';
import { type HostMemory, MemoryKeeper, NO_PAST, parseMemory } from './watchdog-memory.ts';

export interface AftermathOptions {
  readonly launched: { readonly memory: unknown; readonly death: HostDeath | undefined };
  readonly clock: Clock;
  /** Tells the launcher what to keep. */
  readonly remember: (memory: HostMemory) => void;
  readonly forgive: () => void;
  readonly readCrumb: (dir: string) => Promise<Breadcrumb | undefined>;
}

export interface Aftermath {
  /** Of this life. */
  readonly boot: string;
  readonly keeper: MemoryKeeper;
  /** Judges the last death, once it is known which agents there are. Undefined when there was none. */
  judge(agents: readonly { readonly id: string; readonly dir: string }[]): Promise<Verdict | undefined>;
  /** With what an agent starts; given once, its later starts are this host's own affair. */
  takePast(id: string): ChildPast | undefined;
  /** Whose trial begins; undefined when the last one is over. */
  tries(id: string | undefined): void;
}

export function createAftermath(options: AftermathOptions): Aftermath {
  const { launched, clock } = options;
  const before = parseMemory(launched.memory);
  const boot = randomUUID();
  const pasts = new Map<string, ChildPast>();
  const keeper = new MemoryKeeper(beginLife(boot, before), options.remember);

  async function judge(agents: readonly { readonly id: string; readonly dir: string }[]) {
    const { death } = launched;
    if (!death || !before) return undefined;
    for (const [id, { crashesMs, state, reason }] of Object.entries(before.agents)) {
      pasts.set(id, { crashesMs, state, reason });
    }
    const read = await Promise.all(agents.map(({ dir }) => options.readCrumb(dir)));
    const crumbs = new Map<string, Breadcrumb>();
    // In the order in which the agents were given, whatever the disk was quickest with.
    for (const [index, { id }] of agents.entries()) {
      const crumb = read[index];
      if (crumb?.pid === death.pid) crumbs.set(id, crumb);
    }
    const verdict = judgeDeath(death, before, crumbs);
    if (verdict.charged) charge(verdict.charged.id, verdict);
    keeper.change({ suspects: verdict.alone });
    keeper.flush();
    if (verdict.isForgiven) options.forgive();
    return verdict;
  }

  function charge(id: string, verdict: Verdict): void {
    const past = withCharge(before?.agents[id] ?? NO_PAST, verdict, clock.wallMs());
    keeper.change({ agents: { ...keeper.memory.agents, [id]: past } });
    const { crashesMs, state, reason } = past;
    const isGivenUp = state !== 'none';
    pasts.set(id, {
      crashesMs,
      state: isGivenUp ? state : 'crashed',
      reason: isGivenUp ? reason : verdict.charged?.reason,
    });
  }

  return {
    boot,
    keeper,
    judge,
    takePast: (id) => {
      const past = pasts.get(id);
      pasts.delete(id);
      return past;
    },
    tries: (id) => {
      const { onTrial, suspects } = keeper.memory;
      keeper.change({ onTrial: id, suspects: suspects.filter((suspect) => suspect !== onTrial) });
      keeper.flush();
    },
  };
}

/** What a new life of the host knows at once. */
function beginLife(boot: string, before: HostMemory | undefined): HostMemory {
  const { agents = {}, added = [] } = before ?? {};
  return { boot, agents, suspects: [], onTrial: undefined, culprit: undefined, added };
}
