/** What REST handlers may ask of this agent, put together from its parts. What is heavy is opened on first use. */
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { AgentInfo } from '../contract/route-schemas.ts';
import type { TransportKind } from '../contract/worker-protocol.ts';
import { createResourceEvents } from '../gateway/services/resource-events.ts';
import type { AgentServices } from '../gateway/services.ts';
import type { SocketHub } from '../gateway/ws/socket-hub.ts';
import type { EventLog } from '../logging/event-log.ts';
import { modelLabel } from '../models/registry.ts';
import { type AgentVault, createAgentVault } from './agent-vault.ts';
import { createConfigService } from './config-service.ts';
import type { FileServices } from './file-services.ts';
import type { AgentPort } from './run-worker.ts';

export interface ServiceParts {
  readonly agent: AgentPort;
  readonly clock: Clock;
  readonly log: EventLog;
}

/** Known once the gateway listens. */
export interface Bound {
  port: number;
  kind: TransportKind;
  note: string | undefined;
}

export function createServices(
  { agent, clock, log }: ServiceParts,
  bound: Bound,
  files: Pick<FileServices, 'uploads' | 'logs'>,
  /** Exists only after the services that it is given. */
  hub: () => SocketHub,
): AgentServices & { readonly vault: AgentVault } {
  const { init } = agent;
  const { settings } = init;
  const startedAtMs = clock.wallMs();
  const resources = createResourceEvents({ clock, broadcast: (frame) => hub().sendResourceEvent(frame) });
  return {
    info: (): AgentInfo => ({
      name: settings.name,
      agent_dir: init.dir,
      port: bound.port,
      version: init.version,
      id: init.id,
      transport: bound.kind,
      transport_note: bound.note ?? null,
      isolation: init.isolation,
      model: modelLabel(settings.model),
      started_at: startedAtMs / 1000,
      state: agent.state(),
      legacy_rest: settings.gateway.legacyRest,
    }),
    connectedClients: () => hub().connectedClients(),
    vault: createAgentVault({ agent, clock, log, resources }),
    uploads: files.uploads,
    logs: files.logs,
    config: createConfigService({ host: agent, log, resources }),
    resources,
    requestRestart: (by) => {
      if (agent.state() === 'draining') {
        throw new AppError('agent.stopping', 'The agent is already stopping or restarting.');
      }
      log.info('server.restart', { source: by });
      agent.report({ type: 'worker.restartRequested', requestedBy: by });
    },
  };
}
