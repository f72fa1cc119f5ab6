/** Handlers of the fleet gateway's routes. */
import { isAbsolute } from 'node:path';
import { AppError } from '../../contract/errors.ts';
import type { FLEET_ROUTES } from '../../contract/fleet/routes.ts';
import type { FLEET_SCHEMAS, FleetAgent, Probe } from '../../contract/fleet/schemas.ts';
import { type Handlers, type JsonReply, reply, replyBytes, replyEncoded } from '../../contract/route.ts';
import type { AgentCommand, AgentStatus } from '../fleet.ts';
import type { FleetServices } from './fleet-services.ts';
import { listIncidents, readIncident } from './incident-files.ts';
import { RETRY_SECONDS, readiness, startup } from './probes.ts';
import { toFleetAgent } from './to-wire.ts';

export const fleetHandlers: Handlers<typeof FLEET_ROUTES, typeof FLEET_SCHEMAS, FleetServices> = {
  live: () => ({ status: 'ok' }),

  ready: (_input, { fleet, phase }) => probed(readiness(phase(), fleet.agents())),

  startedUp: (_input, { fleet, phase, hasSettled }) => probed(startup(phase(), hasSettled(), fleet.agents())),

  async metrics(_input, { metrics }) {
    // Nobody asks for it from far away, and it is another one each time: to pack it would be half of all it costs.
    const headers = { 'content-type': metrics.contentType, 'content-encoding': 'identity' };
    return replyBytes(await metrics.text(), { headers });
  },

  getFleet: (_input, { info, fleet }) => ({ ...info(), agents: fleet.agents().length }),

  listAgents: (_input, services) => services.fleet.agents().map((status) => onWire(status, services)),

  async addAgent({ body }, services) {
    // A path with a null byte is none to the system.
    if (!isAbsolute(body.dir) || body.dir.includes('\0')) {
      throw new AppError('request.invalid', `${body.dir} is no absolute path: send the whole one`);
    }
    return { ok: true, agent: onWire(await services.fleet.add(body.dir), services) };
  },

  getAgent: ({ params }, services) => onWire(agentOf(params.id, services), services),

  async removeAgent({ params }, { fleet }) {
    await fleet.remove(params.id);
    return { ok: true };
  },

  startAgent: ({ params }, services) => act(params.id, 'start', services),
  stopAgent: ({ params }, services) => act(params.id, 'stop', services),
  restartAgent: ({ params }, services) => act(params.id, 'restart', services),
  releaseAgent: ({ params }, services) => act(params.id, 'release', services),

  async readLogs({ query }, services) {
    const places = placesOf(query.agents, services);
    return replyEncoded(await services.logs.read(places, { entries: query.lines, event: query.event }), {});
  },

  listEvents({ query }, { events }) {
    const { agents, event, limit } = query;
    return events
      .since(0)
      .filter((entry) => entry.event.startsWith(event) && isAmong(entry.agent, agents))
      .slice(-limit);
  },

  listIncidents: ({ query }, services) =>
    listIncidents(placesOf(query.agents, services), query.limit, services.limits.incidentBytes),

  async getIncident({ params }, services) {
    const [place] = placesOf([params.agent], services);
    const incident = place && (await readIncident(place, params.name, services.limits.incidentBytes));
    if (incident === undefined) {
      throw new AppError(
        'incident.not_found',
        `${params.agent} has no incident of this name; ask for the list`,
      );
    }
    return incident;
  },
};

function probed(probe: Probe): JsonReply<Probe> {
  if (probe.status === 'ok') return reply(probe, {});
  return reply(probe, { status: 503, headers: { 'retry-after': String(RETRY_SECONDS[probe.status]) } });
}

function act(id: string, command: AgentCommand, services: FleetServices): { ok: true; agent: FleetAgent } {
  const { state } = agentOf(id, services);
  if (!services.fleet.command(id, command)) {
    const message = `${id} is ${state}: ${command} is not possible now${MENDS[command]}`;
    throw new AppError('agent.action_refused', message, { details: { state } });
  }
  return { ok: true, agent: onWire(agentOf(id, services), services) };
}

const MENDS = {
  start: '',
  stop: '',
  restart: '',
  release: '; only a quarantined agent can be released',
} as const satisfies Record<AgentCommand, string>;

/** A refused directory may have the name of one that is supervised: that one is meant. */
function agentOf(id: string, { fleet }: FleetServices): AgentStatus {
  const named = fleet.agents().filter((status) => status.id === id);
  const found = named.find(({ state }) => state !== 'refused') ?? named[0];
  if (found === undefined) throw new AppError('agent.not_found', `There is no agent ${id} in this fleet`);
  return found;
}

/** Directories of these agents, or of all that are supervised; of a refused one nobody knows that it is an agent. */
function placesOf(
  ids: readonly string[],
  services: FleetServices,
): readonly { readonly agent: string; readonly dir: string }[] {
  const agents =
    ids.length > 0
      ? [...new Set(ids)].map((id) => agentOf(id, services))
      : services.fleet.agents().filter(({ state }) => state !== 'refused');
  return agents.map(({ id, dir }) => ({ agent: id, dir }));
}

function isAmong(agent: string | null, ids: readonly string[]): boolean {
  return ids.length === 0 || (agent !== null && ids.includes(agent));
}

function onWire(status: AgentStatus, { clock }: FleetServices): FleetAgent {
  return toFleetAgent(status, { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() });
}
