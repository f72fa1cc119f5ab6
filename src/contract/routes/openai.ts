/** The routes that OpenAI's own clients know; an agent is a model to them. */
import { defineRoutes } from '../route.ts';

/** Of turns: how they are refused, and how they end. */
const TURN_ERRORS = [
  'model.unknown',
  'model.unconfigured',
  'model.failed',
  'model.rate_limited',
  'model.overloaded',
  'model.timeout',
  'budget.exceeded',
  'queue.agent_full',
  'turn.cancelled',
  'agent.stopping',
  'storage.unavailable',
  'storage.full',
  'upload.too_large',
  'upload.busy',
  'directory.unwritable',
] as const;

export const OPENAI_ROUTES = defineRoutes({
  listOpenAiModels: {
    method: 'GET',
    path: '/v1/models',
    summary: 'Models this agent can answer with, its own first',
    auth: 'token',
    errors: [],
  },
  getOpenAiModel: {
    method: 'GET',
    path: '/v1/models/{model*}',
    summary: 'One of them',
    auth: 'token',
    errors: ['model.unknown'],
  },
  createChatCompletion: {
    method: 'POST',
    path: '/v1/chat/completions',
    summary: 'A turn of the agent, answered as a chat completion; as events where `stream` is true',
    auth: 'token',
    eventStream: true,
    headers: ['idempotency-key'],
    body: true,
    bodyWithFiles: true,
    errors: TURN_ERRORS,
  },
  createResponse: {
    method: 'POST',
    path: '/v1/responses',
    summary: 'A turn of the agent, answered as a response; as events where `stream` is true',
    auth: 'token',
    eventStream: true,
    headers: ['idempotency-key'],
    body: true,
    bodyWithFiles: true,
    errors: [...TURN_ERRORS, 'completion.not_found'],
  },
});
