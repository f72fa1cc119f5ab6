/** What REST handlers need of the agent. Interfaces only: a handler never sees storage, actors or sockets. */
import type { AgentInfo } from '../contract/route-schemas.ts';
import type { CompletionService } from './services/completion-service.ts';
import type { ConfigService } from './services/config-service.ts';
import type { LogService } from './services/log-service.ts';
import type { McpService } from './services/mcp-service.ts';
import type { ModelsService } from './services/models-service.ts';
import type { ResourceEvents } from './services/resource-events.ts';
import type { SessionService } from './services/session-service.ts';
import type { TaskService } from './services/task-service.ts';
import type { UploadService } from './services/upload-service.ts';
import type { UsageService } from './services/usage-service.ts';
import type { VaultService } from './services/vault-service.ts';

export interface AgentServices {
  info(): AgentInfo;
  /** Distinct client ids with an open, authenticated WebSocket. */
  connectedClients(): number;
  /**
   * Asks the supervisor to drain and start the agent again; returns at once, so that the answer can still go out.
   * Throws `agent.stopping` when the agent is about to end anyway. `by` is for the log.
   */
  requestRestart(by: string): void;
  readonly completions: CompletionService;
  readonly config: ConfigService;
  readonly vault: VaultService;
  readonly tasks: TaskService;
  readonly sessions: SessionService;
  readonly uploads: UploadService;
  readonly logs: LogService;
  readonly mcp: McpService;
  readonly models: ModelsService;
  readonly usage: UsageService;
  /** For whoever changes something that clients show. */
  readonly resources: ResourceEvents;
}
