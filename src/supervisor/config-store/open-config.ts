/**
 * The configurations of a host's agents, put together: how they are read for a start, written for clients, applied to the
 * agents that run. A start that finds its file invalid falls back to the last good content: a crash in the middle of an
 * edit must not be what an agent dies of.
 */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../../contract/clock.ts';
import type { AppError, WireError } from '../../contract/errors.ts';
import { type LoadedAgent, loadAgent, type PrepareAgent, prepareAgent } from '../config/load-agent.ts';
import type { LoadOptions } from '../config/resolve-config.ts';
import type { AgentStatus, Fleet, PreparedAgent } from '../fleet.ts';
import { difference } from '../reload/config-parts.ts';
import { invalidConfig, isConfigProblem } from '../reload/invalid-config.ts';
import { createKnownConfigs, type KnownConfigs, type ReadConfig } from '../reload/known-configs.ts';
import { type ConfigApplier, createConfigApplier } from './apply-config.ts';
import { type ConfigStore, createConfigStore } from './config-store.ts';

export interface HostConfig {
  readonly store: ConfigStore;
  readonly applier: ConfigApplier;
  readonly known: KnownConfigs;
  readonly prepare: PrepareAgent;
  /** Before an agent's first start. */
  load(dir: string): Promise<LoadedAgent>;
  /** Before each later one. */
  loadAgain(id: string): Promise<PreparedAgent>;
  forget(id: string): void;
}

type HostConfigFleet = Pick<Fleet, 'notify' | 'command' | 'agents' | 'respec' | 'configChanged'>;

/** `fleet` exists only after what answers its agents. */
export function openConfig(
  options: LoadOptions,
  clock: Clock,
  fleet: () => HostConfigFleet,
  warn: (warning: WireError, id: string) => void,
): HostConfig {
  const known = createKnownConfigs();
  const statusOf = (id: string) =>
    fleet()
      .agents()
      .find((agent) => agent.id === id);
  const applier = createConfigApplier({
    clock,
    notify: (id, notice) => fleet().notify(id, notice),
    respec: (id, spec) => fleet().respec(id, spec),
    restart: (id) => {
      // Another one is on its way, or somebody wants it stopped: it reads the file when it starts.
      if (statusOf(id)?.state === 'running') fleet().command(id, 'restart');
    },
  });
  const prepare: PrepareAgent = (agent, file, text) => prepareAgent(agent, file, text, options);
  const store = createConfigStore({
    clock,
    prepare: (agent, file, text, env = {}) =>
      prepareAgent(agent, file, text, { ...options, env: { ...options.env, ...env } }),
    writing: known.writing,
    apply: (prepared, section, etag) => {
      const answer = applier.apply(prepared, section);
      known.applied(prepared.spec.id, etag, answer.applied);
      return answer;
    },
  });
  const starts = createStarts(options, { known, applier, fleet, warn, statusOf });
  return {
    store,
    applier,
    known,
    prepare,
    ...starts,
    forget: (id) => {
      known.forget(id);
      applier.forget(id);
    },
  };
}

interface StartsWith {
  readonly known: KnownConfigs;
  readonly applier: ConfigApplier;
  readonly fleet: () => HostConfigFleet;
  readonly warn: (warning: WireError, id: string) => void;
  readonly statusOf: (id: string) => AgentStatus | undefined;
}

/** How a file becomes what an agent starts with. */
function createStarts(
  options: LoadOptions,
  { known, applier, fleet, warn, statusOf }: StartsWith,
): Pick<HostConfig, 'load' | 'loadAgain'> {
  const take = (loaded: LoadedAgent): LoadedAgent => {
    known.set(loaded);
    applier.started(loaded.prepared);
    return loaded;
  };
  /** What the watch has not seen yet is told by whoever sees it first. */
  const tell = (id: string, sections: readonly string[]): void => {
    const isMended = statusOf(id)?.config.state === 'invalid';
    if (sections.length > 0) fleet().configChanged(id, { type: 'config.applied', how: 'restart', sections });
    else if (isMended) fleet().configChanged(id, { type: 'config.applied', how: 'nothing', sections });
  };
  const fallBack = (id: string, { prepared }: ReadConfig, error: AppError): PreparedAgent => {
    if (statusOf(id)?.config.state !== 'invalid') fleet().configChanged(id, invalidConfig(error));
    const message = `starts with the last good openagent.yaml; the one that is there is not: ${error.message}`;
    warn({ code: error.code, message }, id);
    applier.started(prepared);
    return prepared;
  };
  return {
    load: async (dir) => take(await loadAgent(dir, options)),
    loadAgain: async (id) => {
      const before = known.get(id);
      if (before === undefined) throw new Error(`${id} was never loaded`);
      try {
        const { prepared } = take(await loadAgent(dirname(before.file), options));
        tell(id, difference(before.prepared, prepared).sections);
        return prepared;
      } catch (error) {
        // Without its directory it cannot run, whatever it is told.
        if (!isConfigProblem(error) || !(await isDirectory(before.prepared.spec.dir))) throw error;
        return fallBack(id, before, error);
      }
    },
  };
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    // What cannot be looked at is as good as gone.
    return false;
  }
}
