/**
 * Hot reload of a whole fleet: one watch of paths for all configurations and all patterns, and what follows from its
 * news. Begins when the agents of the command line have settled, so that it is no part of their start.
 */
import type { Clock } from '../../contract/clock.ts';
import type { WireError } from '../../contract/errors.ts';
import type { HostConfig } from '../config-store/open-config.ts';
import type { AgentStatus, Fleet, FleetEvent } from '../fleet.ts';
import type { Run } from '../run-agents.ts';
import { createConfigReload } from './config-reload.ts';
import { createPathWatch } from './path-watch.ts';
import { createPatternWatch } from './pattern-watch.ts';

export interface FleetReloadOptions {
  readonly clock: Clock;
  readonly fleet: Pick<Fleet, 'agents' | 'command' | 'configChanged' | 'subscribe'>;
  readonly run: Pick<Run, 'agents' | 'add' | 'remove' | 'dismiss'>;
  readonly config: Pick<HostConfig, 'known' | 'applier' | 'prepare' | 'forget'>;
  /** Of the command line. */
  readonly patterns: readonly string[];
  readonly cwd: string;
  readonly warn: (warning: WireError, id: string | undefined) => void;
  readonly onDefect: (error: unknown, where: string) => void;
  readonly times?: Partial<ReloadTimes>;
}

export interface ReloadTimes {
  readonly quietMs: number;
  readonly lookMs: number;
  readonly doubtMs: number;
  readonly spacingMs: number;
  readonly goneMs: number;
}

export interface FleetReload {
  close(): Promise<void>;
}

const TIMES: ReloadTimes = { quietMs: 120, lookMs: 1_000, doubtMs: 800, spacingMs: 2_000, goneMs: 1_000 };

export function startReload(options: FleetReloadOptions): FleetReload {
  const { clock, fleet, run, config, warn, onDefect } = options;
  const times = { ...TIMES, ...options.times };
  const paths = createPathWatch({
    clock,
    quietMs: times.quietMs,
    lookMs: times.lookMs,
    onChange: (path, sign) => void (configs.changed(path, sign) || patterns.changed(path)),
    onShortage: (code) => warn(shortage(code), undefined),
    onDefect,
  });
  const configs = createConfigReload({
    ...{ clock, fleet, paths, warn, onDefect },
    ...{ quietMs: times.quietMs, doubtMs: times.doubtMs, spacingMs: times.spacingMs },
    known: config.known,
    applier: config.applier,
    prepare: config.prepare,
    leaves: (file) => patterns.leaves(file),
  });
  const patterns = createPatternWatch({
    ...{ run, paths, onDefect },
    patterns: options.patterns,
    cwd: options.cwd,
    goneMs: times.goneMs,
  });
  const watch = ({ id, dir }: AgentStatus): void => {
    const known = config.known.get(id);
    if (known) configs.watch({ id, dir, file: known.file });
  };
  const heard = (event: FleetEvent): void => {
    if (event.type === 'agent.added') watch(event.agent);
    else if (event.type === 'agent.changed') configs.agentChanged(event.agent);
    else if (event.type === 'agent.removed') {
      configs.unwatch(event.id);
      patterns.removed(event.dir);
    }
  };
  const unsubscribe = fleet.subscribe(heard);
  for (const agent of fleet.agents()) watch(agent);
  void patterns.start();
  return {
    close: async () => {
      unsubscribe();
      configs.close();
      patterns.close();
      await paths.close();
    },
  };
}

/** Agents go on; the mend is a setting of the system. */
function shortage(code: string): WireError {
  const why = code === 'ENOSPC' ? 'fs.inotify.max_user_watches' : 'fs.inotify.max_user_instances';
  const message = `The system gives no more file watches (${code}): changes of openagent.yaml are noticed some seconds later. Raise ${why} (sysctl), or the limit of open files (ulimit -n)`;
  return { code: 'host.unavailable', message };
}
