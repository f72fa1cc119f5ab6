/** Ports that agents want, and who has them. Nothing is bound to find out: that alone could be in an agent's way. */
import { PORT_SPAN, readPortFile } from '../ports.ts';
import type { Listener } from './descriptors.ts';
import type { ExaminedAgent } from './examined-agent.ts';
import { type Finding, finding } from './finding.ts';

const PORT_MAX = 65_535;
const PORT_KEYS = ['channels', 'websocket', 'port'];

export function checkPorts(
  agents: readonly ExaminedAgent[],
  listeners: readonly Listener[] | undefined,
): readonly Finding[] {
  const findings: Finding[] = [...checkShared(agents)];
  if (listeners === undefined) return findings;
  const own = new Set(agents.flatMap((agent) => (agent.holder?.isLive ? [readPortFile(agent.real)] : [])));
  const hosts = new Set(agents.flatMap(({ holder }) => (holder?.isLive ? [holder.pid] : [])));
  const taken = new Map(
    listeners
      .filter(({ port, pid }) => !own.has(port) && !(pid !== undefined && hosts.has(pid)))
      .map((listener) => [listener.port, listener]),
  );
  for (const agent of agents) if (!agent.holder?.isLive) findings.push(...checkPort(agent, taken));
  return findings;
}

function preferredOf({ prepared }: ExaminedAgent): number {
  return prepared?.preferredPort ?? 0;
}

function placeOf({ file, config }: ExaminedAgent) {
  return { file, ...config?.survey.usable?.parsed.placeOf(PORT_KEYS) };
}

function checkPort(agent: ExaminedAgent, taken: ReadonlyMap<number, Listener>): Finding[] {
  const preferred = preferredOf(agent);
  if (preferred === 0) return [];
  const last = Math.min(preferred + PORT_SPAN, PORT_MAX);
  const range = Array.from({ length: last - preferred + 1 }, (_, index) => preferred + index);
  const free = range.find((port) => !taken.has(port));
  const about = { agent: agent.id, ...placeOf(agent) };
  if (free === undefined) {
    return [finding('port.range_full', { ...about, text: `ports ${preferred} to ${last} are all taken` })];
  }
  const owner = taken.get(preferred);
  if (owner === undefined) return [];
  const who =
    owner.pid === undefined ? "another user's program" : `process ${owner.pid} (${owner.program ?? '?'})`;
  return [
    finding('port.taken', {
      ...about,
      text: `port ${preferred} is taken by ${who}; the first free one is ${free}`,
    }),
  ];
}

const SHOWN_MAX = 5;

function checkShared(agents: readonly ExaminedAgent[]): Finding[] {
  const byPort = new Map<number, ExaminedAgent[]>();
  for (const agent of agents) {
    const port = preferredOf(agent);
    if (port !== 0) byPort.set(port, [...(byPort.get(port) ?? []), agent]);
  }
  return [...byPort].flatMap(([port, sharing]) => {
    const [first] = sharing;
    if (first === undefined || sharing.length === 1) return [];
    const ids = sharing.map(({ id }) => id);
    const names =
      ids.length > SHOWN_MAX
        ? `${ids.slice(0, SHOWN_MAX).join(', ')} and ${ids.length - SHOWN_MAX} more`
        : ids.join(', ');
    const last = Math.min(port + PORT_SPAN, PORT_MAX);
    if (sharing.length > last - port + 1) {
      const text = `${sharing.length} agents prefer port ${port}, and may take up to ${last}: ${names}`;
      return [finding('port.range_full', { text, ...placeOf(first) })];
    }
    return [finding('port.shared', { text: `${names} prefer port ${port}` })];
  });
}
