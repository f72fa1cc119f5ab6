/** What REST handlers need of the agent. Interfaces only: a handler never sees storage, actors or sockets. */
import type { AgentInfo } from '../contract/route-schemas.ts';
import type { ResourceEvents } from './services/resource-events.ts';

export interface AgentServices {
  info(): AgentInfo;
  /** Distinct client ids with an open, authenticated WebSocket. */
  connectedClients(): number;
  /**
   * Asks the supervisor to drain and start the agent again; returns at once, so that the answer can still go out.
   * Throws `agent.stopping` when the agent is about to end anyway. `by` is for the log.
   */
  requestRestart(by: string): void;
  /** For whoever changes something that clients show. */
  readonly resources: ResourceEvents;
}
