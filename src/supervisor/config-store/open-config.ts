/** Store and applier of a host's agents, put together. */
import type { Clock } from '../../contract/clock.ts';
import { prepareAgent } from '../config/load-agent.ts';
import type { LoadOptions } from '../config/resolve-config.ts';
import type { Fleet } from '../fleet.ts';
import { type ConfigApplier, createConfigApplier } from './apply-config.ts';
import { type ConfigStore, createConfigStore } from './config-store.ts';

export interface HostConfig {
  readonly store: ConfigStore;
  readonly started: ConfigApplier['started'];
}

/** `fleet` exists only after what answers its agents. */
export function openConfig(
  options: LoadOptions,
  clock: Clock,
  fleet: () => Pick<Fleet, 'notify' | 'command' | 'agents'>,
): HostConfig {
  const applier = createConfigApplier({
    clock,
    notify: (id, notice) => fleet().notify(id, notice),
    restart: (id) => {
      // Another one is on its way, or somebody wants it stopped: it reads the file when it starts.
      const isRunning = fleet()
        .agents()
        .some((agent) => agent.id === id && agent.state === 'running');
      if (isRunning) fleet().command(id, 'restart');
    },
  });
  const store = createConfigStore({
    clock,
    prepare: (agent, file, text) => prepareAgent(agent, file, text, options),
    apply: applier.apply,
  });
  return { store, started: applier.started };
}
