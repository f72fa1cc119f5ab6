/** What REST handlers may ask of this agent, put together from its parts. What is heavy is opened on first use. */
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { ModelSettings } from '../contract/model-settings.ts';
import type { AgentInfo } from '../contract/route-schemas.ts';
import type { TransportKind } from '../contract/worker-protocol.ts';
import type { ConfigService } from '../gateway/services/config-service.ts';
import type { ModelsService } from '../gateway/services/models-service.ts';
import { createResourceEvents } from '../gateway/services/resource-events.ts';
import type { AgentServices } from '../gateway/services.ts';
import type { SocketHub } from '../gateway/ws/socket-hub.ts';
import type { EventLog } from '../logging/event-log.ts';
import { createModel, modelLabel } from '../models/registry.ts';
import type { Database } from '../storage/database.ts';
import type { Journal } from '../storage/journal.ts';
import type { UsageLedger } from '../usage/ledger.ts';
import type { Prices } from '../usage/prices.ts';
import { type AgentCompletions, createAgentCompletions } from './agent-completions.ts';
import type { AgentMcp } from './agent-mcp.ts';
import type { AgentMind } from './agent-mind.ts';
import type { AgentSchedule } from './agent-schedule.ts';
import { type AgentVault, createAgentVault } from './agent-vault.ts';
import type { BudgetNews } from './budget-news.ts';
import { createConfigService } from './config-service.ts';
import type { FileServices } from './file-services.ts';
import { createModelTest } from './model-test.ts';
import { createModelsService } from './models-service.ts';
import type { AgentPort } from './run-worker.ts';
import type { TurnEngine } from './turns/turn-engine.ts';

export interface ServiceParts {
  readonly agent: AgentPort;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly db: Database;
  readonly journal: Journal;
  readonly turns: TurnEngine;
  readonly mcp: AgentMcp;
  readonly schedule: AgentSchedule;
  readonly mind: Pick<AgentMind, 'sessions'>;
  readonly ledger: UsageLedger;
  readonly prices: Prices;
  readonly budgetNews: BudgetNews;
}

const ASK_MS = 10_000;

/** Known once the gateway listens. */
export interface Bound {
  port: number;
  kind: TransportKind;
  note: string | undefined;
}

export function createServices(
  parts: ServiceParts,
  bound: Bound,
  files: Pick<FileServices, 'uploads' | 'logs' | 'keepImages'>,
  /** Exists only after the services that it is given. */
  hub: () => SocketHub,
): AgentServices & { readonly vault: AgentVault; readonly completions: AgentCompletions } {
  const { agent, clock, log, mcp, schedule, budgetNews } = parts;
  const { init } = agent;
  const { settings } = init;
  const startedAtMs = clock.wallMs();
  const resources = createResourceEvents({ clock, broadcast: (frame) => hub().sendResourceEvent(frame) });
  schedule.onChange = (action, id) => resources.changed('task', action, id);
  budgetNews.onReached = resources.budgetReached;
  mcp.onChange = (server) => resources.changed('mcp', 'updated', server);
  const config = createConfigService({ host: agent, log, resources });
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
    mcp,
    config,
    models: createModels(parts, config),
    completions: createCompletions(parts, files),
    usage: parts.ledger,
    tasks: schedule.service,
    sessions: parts.mind.sessions,
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

function createCompletions(
  { agent, clock, log, db, journal, turns }: ServiceParts,
  { keepImages }: Pick<FileServices, 'keepImages'>,
): AgentCompletions {
  const { name, model } = agent.init.settings;
  return createAgentCompletions({
    ...{ agentName: name, settings: model, turns, journal, db, clock },
    remembers: model.provider !== 'echo',
    keepImages,
    onDefect: (error, where) => log.error('server.defect', { where, error }),
  });
}

function createModels(
  { agent, clock, log, ledger, prices }: ServiceParts,
  config: ConfigService,
): ModelsService {
  const test = createModelTest({
    clock,
    ledger,
    // The agent may still run with what was there before a client changed it a moment ago.
    settings: () => agent.ask({ type: 'config.model' }, { timeoutMs: ASK_MS }) as Promise<ModelSettings>,
    createModel: (settings) => createModel(settings, clock),
    onDefect: (error) => log.error('server.defect', { where: 'test of a provider', error }),
  });
  return createModelsService({ config, prices, wallMs: clock.wallMs, test });
}
