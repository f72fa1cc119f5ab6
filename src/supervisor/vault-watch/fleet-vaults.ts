/**
 * The vaults of a fleet: an agent that asks has its own vault watched for as long as it lives. Which folder that is says
 * the supervisor's copy of its configuration, never the agent, in which user code runs.
 */
import type { Clock } from '../../contract/clock.ts';
import { AppError } from '../../contract/errors.ts';
import type { HostNotice, VaultWatching } from '../../contract/host-link.ts';
import type { FleetEvent, PreparedAgent } from '../fleet.ts';
import type { AskingAgent } from '../host-questions.ts';
import { createVaultWatch } from './vault-watch.ts';

export interface FleetVaultsOptions {
  readonly clock: Clock;
  readonly notify: (id: string, notice: HostNotice) => boolean;
  readonly onDefect: (error: unknown, where: string) => void;
}

export interface FleetVaults {
  readonly answers: { 'vault.watch': (agent: AskingAgent) => Promise<VaultWatching> };
  /** What its next start is given. */
  prepared(agent: PreparedAgent): void;
  /** Ends the watch of an agent that ends. */
  note(event: FleetEvent): void;
  /** Folders watched for all agents together. */
  count(): number;
}

/** Whoever is in one of these may still be told something. */
const ALIVE: readonly string[] = ['starting', 'running', 'hung', 'stalled'];

export function createFleetVaults({ clock, notify, onDefect }: FleetVaultsOptions): FleetVaults {
  const paths = new Map<string, string>();
  const watch = createVaultWatch({ clock, tell: (id, notice) => void notify(id, notice), onDefect });
  return {
    answers: {
      'vault.watch': async ({ id }) => {
        const path = paths.get(id);
        if (path === undefined)
          throw new AppError('host.unavailable', `The vault of ${id} is not known here`);
        return watch.watch(id, path);
      },
    },
    prepared: ({ spec, settings }) => void paths.set(spec.id, settings.vaultPath),
    note: (event) => {
      if (event.type === 'agent.changed' && !ALIVE.includes(event.agent.state)) watch.unwatch(event.agent.id);
    },
    count: watch.count,
  };
}
