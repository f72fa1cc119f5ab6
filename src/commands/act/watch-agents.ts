/**
 * The agents as they are, whenever something has happened to one of them. Events say when to look, and only that: what
 * one missed cannot mislead. A look now and then makes up for events that never come.
 */
import { AppError } from '../../contract/errors.ts';
import type { FleetAgent } from '../../contract/fleet/schemas.ts';
import type { FleetClient } from '../fleet-client.ts';
import type { FleetSocket } from '../fleet-socket.ts';

const LOOK_MS = 1_000;

export interface AgentWatch {
  /** Rejects when the fleet goes away. Otherwise as often as there may be something new, until `stop`. */
  readonly lost: Promise<never>;
  look(): void;
  stop(): void;
}

export async function watchAgents(
  client: FleetClient,
  signal: AbortSignal,
  tell: (agents: readonly FleetAgent[]) => void,
): Promise<AgentWatch> {
  let isStopped = false;
  let isLooking = false;
  let isStale = false;
  let fail: (error: unknown) => void = () => {};
  const lost = new Promise<never>((_, reject) => {
    fail = reject;
  });
  lost.catch(() => {}); // who waits for it is told; nobody may be waiting yet

  const look = async (): Promise<void> => {
    isStale = isLooking;
    if (isLooking || isStopped) return;
    isLooking = true;
    try {
      const agents = await client.request('listAgents', { signal });
      if (!isStopped) tell(agents);
    } catch (error) {
      fail(error);
    }
    isLooking = false;
    if (isStale) void look();
  };

  const socket: FleetSocket = await client.connect({
    onFrame: (frame) => {
      if (frame.type === 'event') void look();
    },
    onClose: (reason) => {
      if (isStopped) return;
      fail(
        new AppError(
          'fleet.lost',
          `the fleet went away while it was waited for (${reason}); see: openagent-supervisor ps`,
        ),
      );
    },
  });
  socket.send({ type: 'follow', events: {} });
  const timer = setInterval(() => void look(), LOOK_MS);
  return {
    lost,
    look: () => void look(),
    stop() {
      isStopped = true;
      clearInterval(timer);
      socket.close();
    },
  };
}
