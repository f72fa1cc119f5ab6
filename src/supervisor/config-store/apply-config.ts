/**
 * Brings a changed configuration to the agent that runs: the log's level at once; its models and MCP servers by a restart
 * of ours, for clients expect these to change without asking for one. Everything else waits for the next start.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock, TimerHandle } from '../../contract/clock.ts';
import type { ConfigApplied } from '../../contract/config-answers.ts';
import type { HostNotice } from '../../contract/host-link.ts';
import type { ChildSpec } from '../child-spec.ts';
import type { PreparedAgent } from '../fleet.ts';

/** Clients write providers and model one after the other, and read again; one restart serves them all. */
const RESTART_DELAY_MS = 500;
/** As the reference's clients expect, of servers its newest ones: these need no restart that somebody has to ask for. */
const APPLIED_BY_US: readonly (string | undefined)[] = [
  'model',
  'providers',
  'mcp',
  'mcp_disable',
  'mcp_defaults',
];

export interface ConfigApplierOptions {
  readonly clock: Clock;
  notify(id: string, notice: HostNotice): void;
  restart(id: string): void;
  respec(id: string, spec: ChildSpec): void;
}

export interface ConfigApplier {
  /** The agent is about to start with this. */
  started(prepared: PreparedAgent): void;
  /** What it was last started with, and what was applied since. */
  running(id: string): PreparedAgent | undefined;
  /** All of it that an agent takes while it runs. */
  applyLive(wanted: PreparedAgent): void;
  forget(id: string): void;
  apply(
    prepared: PreparedAgent,
    section: string | undefined,
  ): {
    readonly applied: ConfigApplied;
    readonly restartRequired: boolean;
  };
}

export function createConfigApplier({ clock, notify, restart, respec }: ConfigApplierOptions): ConfigApplier {
  /** What each agent runs with. */
  const running = new Map<string, PreparedAgent>();
  const timers = new Map<string, TimerHandle>();

  const restartSoon = (id: string, wanted: PreparedAgent): void => {
    clock.clearTimeout(timers.get(id));
    const timer = clock.setTimeout(() => {
      timers.delete(id);
      const now = running.get(id);
      // It may have been restarted meanwhile, for whatever reason.
      if (now !== undefined && !isSame(now, wanted)) restart(id);
    }, RESTART_DELAY_MS);
    // A host that is about to end need not wait for it.
    (timer as { unref?: () => void }).unref?.();
    timers.set(id, timer);
  };

  const setLevel = (was: PreparedAgent, { settings }: PreparedAgent): boolean => {
    const { level } = settings.logging;
    if (was.settings.logging.level === level) return false;
    const { id } = was.spec;
    notify(id, { type: 'log.level', level });
    const logging = { ...was.settings.logging, level };
    running.set(id, { ...was, settings: { ...was.settings, logging } });
    return true;
  };

  return {
    started: (prepared) => void running.set(prepared.spec.id, prepared),
    running: (id) => running.get(id),
    applyLive: (wanted) => {
      const { spec } = wanted;
      const was = running.get(spec.id);
      if (was === undefined) return;
      setLevel(was, wanted);
      respec(spec.id, spec);
      running.set(spec.id, { ...(running.get(spec.id) ?? was), spec });
    },
    forget: (id) => {
      running.delete(id);
      // Another agent of that name is not to be restarted for it.
      clock.clearTimeout(timers.get(id));
    },
    apply: (prepared, section) => {
      const { id } = prepared.spec;
      const was = running.get(id);
      const isLive = was !== undefined && setLevel(was, prepared);
      if (APPLIED_BY_US.includes(section)) {
        if (was === undefined || isSame(was, prepared)) return NOTHING;
        restartSoon(id, prepared);
        return { applied: 'restart', restartRequired: false };
      }
      if (section === 'logging' && was !== undefined && isSameLog(was, prepared)) {
        return isLive ? { applied: 'live', restartRequired: false } : NOTHING;
      }
      return { applied: 'next start', restartRequired: true };
    },
  };
}

const NOTHING = { applied: 'nothing', restartRequired: false } as const;

/** In its models and its servers. */
function isSame(a: PreparedAgent, b: PreparedAgent): boolean {
  const of = ({ settings }: PreparedAgent) => [settings.model, settings.mcp];
  return isDeepStrictEqual(of(a), of(b));
}

/** But for the level. */
function isSameLog(a: PreparedAgent, b: PreparedAgent): boolean {
  return isDeepStrictEqual({ ...a.settings.logging, level: '' }, { ...b.settings.logging, level: '' });
}
