/**
 * Which port each agent of this supervisor has, had, or is about to try. Without it thirty agents that start at once
 * with one preferred port would all try the same ones in the same order, and a restarted agent could find its port
 * taken by a neighbour. It also reads and removes `.port`; writing it is the agent's part.
 */
import { closeSync, constants, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { PortPlan } from '../contract/worker-protocol.ts';

/** How many ports beyond the preferred one are tried. */
export const PORT_SPAN = 99;
const PORT_MAX = 65_535;

export interface PortRegistry {
  /** An agent that will start some time: what its `.port` says from an earlier run is kept for it if it may. */
  add(agent: PortOwner): void;
  /** For the start that happens now. */
  plan(agent: PortOwner): PortPlan;
  bound(id: string, port: number): void;
  /** Stopped or given up: others may have its port, and nobody finds it in `.port` any more. */
  release(agent: PortOwner): void;
  /** Released and supervised no more: another agent may come with the same id. */
  forget(agent: PortOwner): void;
}

export interface PortOwner {
  readonly id: string;
  readonly dir: string;
  readonly preferredPort: number;
}

export function createPortRegistry(onDefect: (error: unknown, where: string) => void): PortRegistry {
  /** Held or about to be tried: never offered to another. */
  const claimed = new Map<string, number>();
  /** Had before: taken again when still free. */
  const earlier = new Map<string, number>();
  /** For what a start was planned last: an agent that is told another port is to have that one, not a near one it had. */
  const wished = new Map<string, number>();

  function isFree(port: number, id: string): boolean {
    for (const [owner, taken] of claimed) if (taken === port && owner !== id) return false;
    return true;
  }

  function claim(agent: PortOwner, port: number | undefined): boolean {
    if (port === undefined || !isWithin(port, agent.preferredPort) || !isFree(port, agent.id)) return false;
    claimed.set(agent.id, port);
    return true;
  }

  function release({ id, dir }: PortOwner): void {
    claimed.delete(id);
    try {
      rmSync(join(dir, '.port'), { force: true });
    } catch (error) {
      onDefect(error, `.port of ${id}`);
    }
  }

  return {
    add: (agent) => void claim(agent, readPortFile(agent.dir)),
    plan: (agent) => {
      const { id, preferredPort } = agent;
      if ((wished.get(id) ?? preferredPort) !== preferredPort) {
        claimed.delete(id);
        earlier.delete(id);
      }
      wished.set(id, preferredPort);
      const isKept = claim(agent, claimed.get(id)) || claim(agent, earlier.get(id));
      if (!isKept) {
        claimed.delete(id);
        candidates(preferredPort).some((port) => claim(agent, port));
      }
      const taken = [...claimed].filter(([owner]) => owner !== id).map(([, port]) => port);
      return { first: claimed.get(id), preferred: preferredPort, taken };
    },
    bound: (id, port) => {
      claimed.set(id, port);
      earlier.set(id, port);
    },
    release,
    forget: (agent) => {
      release(agent);
      earlier.delete(agent.id);
      wished.delete(agent.id);
    },
  };
}

/** With 0, any port: one it had is as good as another. */
function isWithin(port: number, preferred: number): boolean {
  if (!Number.isInteger(port) || port < 1 || port > PORT_MAX) return false;
  return preferred === 0 || (port >= preferred && port <= preferred + PORT_SPAN);
}

function candidates(preferred: number): readonly number[] {
  if (preferred < 1) return [];
  return Array.from({ length: PORT_SPAN + 1 }, (_, index) => preferred + index);
}

/** The number in `.port`, and nothing else: the file may be garbage, a directory, a pipe or missing. */
export function readPortFile(dir: string): number | undefined {
  let file: number | undefined;
  try {
    // Without O_NONBLOCK a pipe of that name would block the supervisor's thread.
    file = openSync(join(dir, '.port'), constants.O_RDONLY | constants.O_NONBLOCK);
    const buffer = Buffer.alloc(16);
    const text = buffer.toString('latin1', 0, readSync(file, buffer, 0, buffer.length, null));
    const port = /^\d{1,5}\s*$/.test(text) ? Number.parseInt(text, 10) : undefined;
    return port !== undefined && port >= 1 && port <= PORT_MAX ? port : undefined;
  } catch {
    // Whatever is wrong with the file, the search for a free port does not depend on it.
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
