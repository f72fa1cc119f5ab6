/** Turns as chat completions, whole or as `chat.completion.chunk` events. */
import { toOpenAiError } from '../../contract/openai-error.ts';
import type { JsonReply } from '../../contract/route.ts';
import type {
  ChatCompletionAnswer,
  ChatRequestBody,
  ChatUsageFigures,
} from '../../contract/schemas/openai.ts';
import type { TokenFigures } from '../services/completion-service.ts';
import {
  answerWith,
  begin,
  type CompletionContext,
  type Ended,
  type EventScript,
  nowSeconds,
  unsaid,
} from './openai-events.ts';
import { toChatTurn } from './openai-input.ts';

type FinishReason = ChatCompletionAnswer['choices'][number]['finish_reason'];

interface Head {
  readonly id: string;
  readonly created: number;
  readonly sessionId: string;
}

export async function answerChat(
  body: ChatRequestBody,
  context: CompletionContext,
): Promise<ChatCompletionAnswer | JsonReply<ChatCompletionAnswer>> {
  const request = toChatTurn(body, context.key);
  const created = nowSeconds();
  const { tape, sessionId, model } = await begin(request, context);
  const head = { id: `chatcmpl-${request.id}`, created, sessionId };
  return answerWith(tape, request.wantsDeltas, {
    whole: (end) => wholeAnswer(head, end),
    script: () => chunks(head, model, body.stream_options?.include_usage === true),
  });
}

function wholeAnswer({ id, created, sessionId }: Head, end: Ended): ChatCompletionAnswer {
  const { text, model, usage, attachments, cutBy = 'stop' } = end;
  const message = { role: 'assistant', content: text, refusal: null } as const;
  return {
    ...{ id, object: 'chat.completion', created, model },
    choices: [{ index: 0, message, logprobs: null, finish_reason: cutBy }],
    usage: toUsage(usage),
    session_id: sessionId,
    attachments: attachments === null ? null : [...attachments],
  };
}

function chunks({ id, created, sessionId }: Head, expected: string, wantsUsage: boolean): EventScript {
  const chunk = (model: string, choices: readonly object[], more: object = {}): string => {
    const usage = wantsUsage ? { usage: null } : {};
    const event = { id, object: 'chat.completion.chunk', created, model, choices, ...usage, ...more };
    return `data: ${JSON.stringify(event)}\n\n`;
  };
  const choice = (delta: object, finish_reason: FinishReason | null) => ({
    ...{ index: 0, delta, logprobs: null, finish_reason },
  });
  return {
    begin: () => chunk(expected, [choice({ role: 'assistant', content: '' }, null)]),
    delta: (content) => chunk(expected, [choice({ content }, null)]),
    done: ({ text, model, usage, attachments, cutBy }, said) => {
      const rest = unsaid(text, said);
      const ours = { session_id: sessionId, attachments };
      return [
        ...(rest === '' ? [] : [chunk(model, [choice({ content: rest }, null)])]),
        chunk(model, [choice({}, cutBy ?? 'stop')], ours),
        ...(wantsUsage ? [chunk(model, [], { usage: toUsage(usage) })] : []),
        'data: [DONE]\n\n',
      ].join('');
    },
    failed: ({ error }) => `data: ${JSON.stringify(toOpenAiError(error))}\n\n`,
  };
}

function toUsage({ input, output, cached, reasoning }: TokenFigures): ChatUsageFigures {
  return {
    ...{ prompt_tokens: input, completion_tokens: output, total_tokens: input + output },
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: reasoning },
  };
}
