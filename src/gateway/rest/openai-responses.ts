/** Turns as responses, whole or as `response.*` events. */
import type { JsonReply } from '../../contract/route.ts';
import type { ResponseAnswer, ResponseRequestBody } from '../../contract/schemas/openai.ts';
import type { CompletionRequest, TokenFigures } from '../services/completion-service.ts';
import {
  answerWith,
  type Begun,
  begin,
  type CompletionContext,
  type Ended,
  type EventScript,
  nowSeconds,
  unsaid,
} from './openai-events.ts';
import { toResponseTurn } from './openai-input.ts';

type Message = ResponseAnswer['output'][number];

export async function answerResponse(
  body: ResponseRequestBody,
  context: CompletionContext,
): Promise<ResponseAnswer | JsonReply<ResponseAnswer>> {
  const request = toResponseTurn(body, context.key);
  const createdAt = nowSeconds();
  const begun = await begin(request, context);
  const base = baseOf(body, request, begun, createdAt);
  return answerWith(begun.tape, request.wantsDeltas, {
    whole: (end) => ended(base, end, request.id),
    script: () => events(base, request.id),
  });
}

function baseOf(
  body: ResponseRequestBody,
  request: CompletionRequest,
  { sessionId, model }: Begun,
  createdAt: number,
): ResponseAnswer {
  return {
    ...{ id: `resp_${request.id}`, object: 'response', created_at: createdAt, status: 'in_progress' },
    ...{ error: null, incomplete_details: null, instructions: body.instructions ?? null },
    ...{ metadata: { ...body.metadata }, model, output: [], parallel_tool_calls: false },
    previous_response_id: body.previous_response_id ?? null,
    store: request.keepsSession,
    ...{ temperature: null, tool_choice: 'none', tools: [], top_p: null, usage: null },
    ...{ session_id: sessionId, attachments: null },
  };
}

function messageOf(id: string, text: string, status: Message['status']): Message {
  return {
    ...{ id: `msg_${id}`, type: 'message', status, role: 'assistant' },
    content: [textPart(text)],
  };
}

function textPart(text: string): Message['content'][number] {
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}

/** `said`: the text as it was streamed, where that was so; the two must not differ. */
function ended(base: ResponseAnswer, end: Ended, id: string, said = end.text): ResponseAnswer {
  const { model, usage, attachments, cutBy } = end;
  const status = statusOf(end);
  return {
    ...base,
    ...{ status, model, output: [messageOf(id, said, status)], usage: toUsage(usage) },
    incomplete_details: cutBy === undefined ? null : { reason: CUT_REASONS[cutBy] },
    attachments: attachments === null ? null : [...attachments],
  };
}

function statusOf({ cutBy }: Ended): 'completed' | 'incomplete' {
  return cutBy === undefined ? 'completed' : 'incomplete';
}

const CUT_REASONS = { length: 'max_output_tokens', content_filter: 'content_filter' } as const;

function events(base: ResponseAnswer, id: string): EventScript {
  let sequence = 0;
  const event = (type: string, fields: object): string => {
    const data = { type, ...fields, sequence_number: sequence++ };
    return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
  };
  const at = { item_id: `msg_${id}`, output_index: 0, content_index: 0 };
  const delta = (text: string) => event('response.output_text.delta', { ...at, delta: text, logprobs: [] });
  return {
    begin: () => {
      const item: Message = { ...messageOf(id, '', 'in_progress'), content: [] };
      return [
        event('response.created', { response: base }),
        event('response.in_progress', { response: base }),
        event('response.output_item.added', { output_index: 0, item }),
        event('response.content_part.added', { ...at, part: textPart('') }),
      ].join('');
    },
    delta,
    done: (end, said) => {
      const rest = unsaid(end.text, said);
      const text = said + rest;
      return [
        ...(rest === '' ? [] : [delta(rest)]),
        event('response.output_text.done', { ...at, text, logprobs: [] }),
        event('response.content_part.done', { ...at, part: textPart(text) }),
        event('response.output_item.done', { output_index: 0, item: messageOf(id, text, statusOf(end)) }),
        event(`response.${statusOf(end)}`, { response: ended(base, end, id, text) }),
      ].join('');
    },
    failed: ({ error: { code, message } }) =>
      event('response.failed', { response: { ...base, status: 'failed', error: { code, message } } }),
  };
}

function toUsage({ input, output, cached, reasoning }: TokenFigures): NonNullable<ResponseAnswer['usage']> {
  return {
    ...{ input_tokens: input, output_tokens: output, total_tokens: input + output },
    input_tokens_details: { cached_tokens: cached },
    output_tokens_details: { reasoning_tokens: reasoning },
  };
}
