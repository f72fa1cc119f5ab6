/**
 * Completions of OpenAI's clients, for the routes: which models there are to ask, and the rest on first use. Knows of all
 * that wait for an answer, because an agent that closes must not leave them to find out by themselves.
 */
import { AppError } from '../contract/errors.ts';
import type { ModelSettings } from '../contract/model-settings.ts';
import { formatRuntimeId } from '../contract/runtime-id.ts';
import type { CompletionService } from '../gateway/services/completion-service.ts';
import { modelLabel } from '../models/registry.ts';
import { candidatesIn } from '../usage/ledger.ts';
import type { CompletionParts, Completions } from './completions.ts';

export interface AgentCompletionsOptions extends CompletionParts {
  readonly agentName: string;
  readonly settings: ModelSettings;
}

export interface AgentCompletions extends CompletionService {
  /** Whoever still waits is told that the agent goes. */
  stop(): void;
}

const DEFAULT_NAME = 'default';

export function createAgentCompletions(options: AgentCompletionsOptions): AgentCompletions {
  const { agentName, settings } = options;
  const own = modelLabel(settings);
  const names = [...new Set([own, ...callable(settings)])];
  let opening: Promise<Completions> | undefined;
  let opened: Completions | undefined;
  let isStopped = false;

  const open = async (): Promise<Completions> => {
    const { createCompletions } = await import('./completions.ts');
    opened = createCompletions(options);
    if (isStopped) opened.stop();
    return opened;
  };
  const modelOf = (name: string | undefined): string => {
    if (name === undefined || name === '' || name === DEFAULT_NAME || name === agentName) return own;
    if (names.includes(name)) return name;
    const known = names.slice(0, KNOWN_MAX).join(', ');
    throw new AppError('model.unknown', `This agent has no model "${name.slice(0, 200)}". It has: ${known}`);
  };
  return {
    models: () => names,
    modelOf,
    begin: async (request, onEvent, gone) => {
      const model = modelOf(request.model);
      opening ??= open();
      return (await opening).begin({ ...request, model: model === own ? undefined : model }, onEvent, gone);
    },
    stop: () => {
      isStopped = true;
      opened?.stop();
    },
  };
}

const KNOWN_MAX = 20;

/** The echo model has nobody beside it: an agent that only says things back has no provider to ask. */
function callable(settings: ModelSettings): readonly string[] {
  if (settings.provider === 'echo') return [];
  const listed = Object.entries(settings.providers)
    .filter(([, { apiKey, needsKey }]) => apiKey !== undefined || !needsKey)
    .flatMap(([provider, { models, disabledModels }]) =>
      models
        .filter(({ id }) => !disabledModels.includes(id))
        .map(({ id }) => formatRuntimeId({ provider, model: id })),
    );
  return [...candidatesIn(settings)(modelLabel(settings)), ...listed];
}
