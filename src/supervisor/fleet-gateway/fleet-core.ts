/** What answers for the fleet, wherever it listens: how far the run is, and everything the handlers work with. */
import type { Clock } from '../../contract/clock.ts';
import { AppError } from '../../contract/errors.ts';
import { FLEET_LIMITS, type FleetLimits } from '../../contract/fleet/fleet-limits.ts';
import { createEventRing } from './event-ring.ts';
import type { FleetServices } from './fleet-services.ts';
import { createFleetSockets } from './fleet-sockets.ts';
import type { ListenerParts } from './listeners.ts';
import { createLogEntries } from './log-entries.ts';
import { createLogTails } from './log-tails.ts';
import { createMetrics } from './metrics.ts';
import type { FleetNews, FleetPhase, HostFacts, SupervisedFleet } from './supervised-fleet.ts';

export interface FleetCoreOptions {
  readonly facts: HostFacts;
  readonly clock: Clock;
  readonly limits?: FleetLimits;
  readonly onDefect: (error: unknown, where: string) => void;
}

export interface FleetCore {
  readonly parts: ListenerParts;
  isAt(place: Whereabouts): void;
  /** From here on there are agents. */
  supervise(fleet: SupervisedFleet): void;
  note(news: FleetNews): void;
  /** Of all that are supervised. */
  dirs(): readonly string[];
  /** Tells what was logged until now. */
  lookAgain(): Promise<void>;
  close(): Promise<void>;
}

interface Whereabouts {
  readonly socket: string | undefined;
  readonly url: string | undefined;
}

export function createFleetCore({
  clock,
  facts,
  limits = FLEET_LIMITS,
  onDefect,
}: FleetCoreOptions): FleetCore {
  let place: Whereabouts = { socket: undefined, url: undefined };
  const { fleet, supervise } = createLateFleet();
  const progress = createProgress();
  const events = createEventRing(limits.events, clock.wallMs);
  const places = () =>
    fleet.agents().flatMap(({ id, dir, state }) => (state === 'refused' ? [] : [{ agent: id, dir }]));
  const tails = createLogTails({ clock, limits, places, onDefect });
  const hasAgent = (id: string): boolean => places().some(({ agent }) => agent === id);
  const sockets = createFleetSockets({ clock, limits, events, tails, hasAgent, onDefect });
  const metrics = createMetrics({
    ...{ clock, version: facts.version, startedAtMs: facts.startedAtMs, deaths: facts.deaths },
    ...{ agents: fleet.agents, vaultFolders: fleet.vaultFolders, gatewayClients: sockets.count },
  });
  const info = () => ({ ...toInfo(facts), socket: place.socket ?? null, url: place.url ?? null });
  const logs = createLogEntries(limits);
  const services: FleetServices = { clock, limits, fleet, events, logs, info, metrics, ...progress };
  events.add({ type: 'fleet.started' });
  return {
    parts: { services, sockets, onDefect },
    isAt: (taken) => {
      place = taken;
    },
    supervise,
    note(news) {
      if (!progress.isNews(news)) return;
      events.add(news);
      if (news.type === 'agent.added') tails.agentAdded();
    },
    dirs: () => places().map(({ dir }) => dir),
    lookAgain: () => tails.lookAgain(),
    close() {
      metrics.stop();
      return tails.close();
    },
  };
}

/** How far the run is. It may be told to end more than once. */
function createProgress(): Pick<FleetServices, 'phase' | 'hasSettled'> & {
  isNews(news: FleetNews): boolean;
} {
  let phase: FleetPhase = 'starting';
  let hasSettled = false;
  return {
    phase: () => phase,
    hasSettled: () => hasSettled,
    isNews({ type }) {
      const wasStopping = phase === 'stopping';
      if (type === 'fleet.settled') hasSettled = true;
      if (type === 'fleet.settled' && !wasStopping) phase = 'settled';
      if (type === 'fleet.stopping') phase = 'stopping';
      return type !== 'fleet.stopping' || !wasStopping;
    },
  };
}

/** The gateway listens before there are agents. */
function createLateFleet(): { readonly fleet: SupervisedFleet; supervise(fleet: SupervisedFleet): void } {
  let now = NO_AGENTS_YET;
  return {
    fleet: {
      agents: () => now.agents(),
      command: (id, command) => now.command(id, command),
      add: (dir) => now.add(dir),
      remove: (id) => now.remove(id),
      vaultFolders: () => now.vaultFolders(),
    },
    supervise: (fleet) => {
      now = fleet;
    },
  };
}

const NO_AGENTS_YET: SupervisedFleet = {
  agents: () => [],
  vaultFolders: () => 0,
  command: () => false,
  add: async () => {
    throw new AppError('agent.action_refused', 'The supervisor is just starting; try again in a moment');
  },
  remove: async (id) => {
    throw new AppError('agent.not_found', `There is no agent ${id} yet`);
  },
};

function toInfo({ pid, version, startedAtMs, args, cwd, watchdog, deaths }: HostFacts) {
  const node_version = process.versions.node;
  return {
    ...{ pid, version, node_version, started_at: startedAtMs / 1000, args: [...args], cwd },
    ...{ watchdog: watchdog(), deaths },
  };
}
