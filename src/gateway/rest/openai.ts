/** Handlers for OpenAI's clients. What turns their shapes into turns and back is loaded by the first request. */
import type { Caller, Handlers } from '../../contract/route.ts';
import type { OPENAI_ROUTES } from '../../contract/routes/openai.ts';
import type { OPENAI_SCHEMAS } from '../../contract/schemas/openai.ts';
import type { AgentServices } from '../services.ts';

export const openAiHandlers: Handlers<typeof OPENAI_ROUTES, typeof OPENAI_SCHEMAS, AgentServices> = {
  listOpenAiModels(_input, { completions, info }) {
    const created = Math.floor(info().started_at);
    return { object: 'list', data: completions.models().map((id) => modelCard(id, created)) };
  },

  getOpenAiModel({ params }, { completions, info }) {
    return modelCard(completions.modelOf(params.model), Math.floor(info().started_at));
  },

  async createChatCompletion({ body, headers }, { completions }, caller) {
    const gone = goneSignal(caller);
    const { answerChat } = await import('./openai-chat.ts');
    return answerChat(body, { key: headers['idempotency-key'], completions, gone });
  },

  async createResponse({ body, headers }, { completions }, caller) {
    const gone = goneSignal(caller);
    const { answerResponse } = await import('./openai-responses.ts');
    return answerResponse(body, { key: headers['idempotency-key'], completions, gone });
  },
};

function modelCard(id: string, created: number) {
  return { id, object: 'model' as const, created, owned_by: 'openagent' };
}

function goneSignal(caller: Caller): AbortSignal {
  const gone = new AbortController();
  caller.onGone(() => gone.abort());
  return gone.signal;
}
