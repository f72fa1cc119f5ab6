/**
 * Finds an agent its port. Candidates are tried in a fixed order, so that an agent comes back on the port its clients
 * know; what cannot work at all (a wrong host, a port out of range) is said once and clearly instead of being tried a
 * hundred times.
 */
import { isIP } from 'node:net';
import { AppError } from '../contract/errors.ts';
import type { PortPlan } from '../contract/worker-protocol.ts';
import { isLoopbackIpv4 } from './peer-address.ts';
import type { Transport } from './transport.ts';

const PORT_MAX = 65_535;
/** How many ports an agent may try, the preferred one included. */
const PORT_COUNT = 100;

export async function listenOnPlan(
  transport: Transport,
  host: string,
  plan: PortPlan,
): Promise<{ port: number }> {
  checkPort(plan.preferred);
  const address = await resolveHost(host);
  for (const port of toCandidates(plan)) {
    const bound = await transport.listen({ host: address, port });
    if (bound !== 'taken') return bound;
  }
  const last = lastPort(plan.preferred);
  const range = plan.preferred === 0 ? 'any free port' : `ports ${plan.preferred}–${last}`;
  throw new AppError(
    'bind.no_free_port',
    `No free port on ${host}: tried ${range}, and every one is taken. ` +
      'Free one, or choose another start in `channels.websocket.port`.',
  );
}

/** The order in which ports are tried. */
export function toCandidates(plan: PortPlan): readonly number[] {
  const { first, preferred } = plan;
  const taken = new Set(plan.taken);
  const candidates = new Set<number>();
  const isFirstAllowed =
    first !== undefined &&
    isPort(first) &&
    first !== 0 &&
    (preferred === 0 || (first >= preferred && first <= lastPort(preferred)));
  if (isFirstAllowed) candidates.add(first);
  if (preferred !== 0) for (let port = preferred; port <= lastPort(preferred); port++) candidates.add(port);
  const free = [...candidates].filter((port) => !taken.has(port));
  return preferred === 0 ? [...free, 0] : free;
}

function lastPort(preferred: number): number {
  return Math.min(preferred + PORT_COUNT - 1, PORT_MAX);
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= PORT_MAX;
}

/** uWS would listen on port 34463 when asked for 99999. */
function checkPort(port: number): void {
  if (isPort(port)) return;
  throw new AppError(
    'bind.port_invalid',
    `Port ${port} is not a port: \`channels.websocket.port\` must be 1 to ${PORT_MAX}, or 0 for any free one.`,
  );
}

/**
 * To an address this machine can bind. A name is resolved here and not by the socket library, because each picks
 * differently when `localhost` has an IPv4 and an IPv6 address.
 */
async function resolveHost(host: string): Promise<string> {
  // There is always one, so nothing has to be tried (and node:net not to be loaded) for what most agents bind.
  if (isLoopbackIpv4(host)) return host;
  const address = isIP(host) ? host : await lookUp(host);
  const { tryBind } = await import('./transports/bind-failure.ts');
  const failure = await tryBind(address, 0);
  if (failure) throw hostUnknown(host, failure);
  return address;
}

async function lookUp(host: string): Promise<string> {
  if (host.trim() === '') throw hostUnknown(host, new Error('it is empty'));
  try {
    const { lookup } = await import('node:dns/promises');
    const addresses = await lookup(host, { all: true });
    const address = addresses.find(({ family }) => family === 4) ?? addresses[0];
    if (address) return address.address;
  } catch (error) {
    throw hostUnknown(host, error);
  }
  throw hostUnknown(host, new Error('it has no address'));
}

function hostUnknown(host: string, cause: unknown): AppError {
  const said = cause instanceof Error ? cause.message : String(cause);
  return new AppError(
    'bind.host_unknown',
    `Cannot listen on "${host}" (\`channels.websocket.host\`): ${said}. ` +
      'Use an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all.',
    { cause },
  );
}
