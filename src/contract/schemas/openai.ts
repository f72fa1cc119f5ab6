/**
 * Schemas of the rows in `routes/openai.ts`: what of OpenAI's interface an agent takes and gives. Bodies are loose, because
 * clients send many fields that only tune a model; which others are refused `gateway/rest/openai-input.ts` says.
 */
import { z } from 'zod';
import { Attachment } from '../frames.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import type { RouteSchemas } from '../route.ts';
import type { OPENAI_ROUTES } from '../routes/openai.ts';

const CONTROL = /[\p{Cc}\p{Cs}]/u;

/** Half of a character has no UTF-8, so the journal could not give it back. */
const text = z.string().transform((value) => value.replaceAll(/\p{Cs}/gu, '\ufffd'));
const id = z
  .string()
  .min(1)
  .max(DEFAULT_LIMITS.idChars)
  .refine((value) => !CONTROL.test(value), 'has a control character');

const Part = z.looseObject({ type: z.string().max(64), text: text.optional() });
const Content = z.union([text, z.array(Part).max(1_024)]);

const common = {
  /** One of `GET /v1/models`; absent, `default` or the name of the agent: its own. */
  model: z.string().max(1_024).nullish(),
  stream: z.boolean().nullish(),
  /** A conversation that the agent remembers; also `metadata.session_id`. */
  session_id: id.nullish(),
  metadata: z.looseObject({ session_id: id.optional() }).nullish(),
  user: id.nullish(),
};

const ChatBody = z.looseObject({
  ...common,
  messages: z
    .array(z.looseObject({ role: z.string().max(64), content: Content.nullish() }))
    .min(1)
    .max(10_000),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
});

const InputItem = z.looseObject({
  type: z.string().max(64).optional(),
  role: z.string().max(64).optional(),
  content: Content.optional(),
});

const ResponseBody = z.looseObject({
  ...common,
  input: z.union([text, z.array(InputItem).min(1).max(10_000)]),
  instructions: text.nullish(),
  previous_response_id: z.string().max(1_024).nullish(),
  store: z.boolean().nullish(),
});

const Model = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
});

const count = z.int().min(0);
const attachments = z.array(Attachment).min(1).nullable();

const ChatUsage = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: z.object({ cached_tokens: count }),
  completion_tokens_details: z.object({ reasoning_tokens: count }),
});

const ChatCompletion = z.object({
  id: z.string(),
  object: z.literal('chat.completion'),
  created: z.int(),
  /** Runtime id of the model that answered. */
  model: z.string(),
  choices: z.array(
    z.object({
      index: z.literal(0),
      message: z.object({ role: z.literal('assistant'), content: z.string(), refusal: z.null() }),
      logprobs: z.null(),
      /** Never `tool_calls`: an agent calls its tools itself, and answers when they are done. */
      finish_reason: z.enum(['stop', 'length', 'content_filter']),
    }),
  ),
  usage: ChatUsage,
  /** Ours, like `attachments`. */
  session_id: z.string(),
  attachments,
});

const OutputText = z.object({
  type: z.literal('output_text'),
  text: z.string(),
  annotations: z.array(z.never()),
  logprobs: z.array(z.never()),
});

const OutputMessage = z.object({
  id: z.string(),
  type: z.literal('message'),
  status: z.enum(['in_progress', 'completed', 'incomplete']),
  role: z.literal('assistant'),
  content: z.array(OutputText),
});

const ResponseUsage = z.object({
  input_tokens: count,
  input_tokens_details: z.object({ cached_tokens: count }),
  output_tokens: count,
  output_tokens_details: z.object({ reasoning_tokens: count }),
  total_tokens: count,
});

const Response = z.object({
  id: z.string(),
  object: z.literal('response'),
  created_at: z.int(),
  status: z.enum(['in_progress', 'completed', 'incomplete', 'failed']),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  incomplete_details: z.object({ reason: z.enum(['max_output_tokens', 'content_filter']) }).nullable(),
  instructions: z.string().nullable(),
  metadata: z.record(z.string(), z.unknown()),
  model: z.string(),
  output: z.array(OutputMessage),
  parallel_tool_calls: z.literal(false),
  previous_response_id: z.string().nullable(),
  store: z.boolean(),
  temperature: z.null(),
  tool_choice: z.literal('none'),
  tools: z.array(z.never()),
  top_p: z.null(),
  usage: ResponseUsage.nullable(),
  session_id: z.string(),
  attachments,
});

export type ChatRequestBody = z.output<typeof ChatBody>;
export type ResponseRequestBody = z.output<typeof ResponseBody>;
export type ChatCompletionAnswer = z.output<typeof ChatCompletion>;
export type ResponseAnswer = z.output<typeof Response>;
export type ChatUsageFigures = z.output<typeof ChatUsage>;

export const OPENAI_SCHEMAS = {
  listOpenAiModels: { response: z.object({ object: z.literal('list'), data: z.array(Model) }) },
  getOpenAiModel: { response: Model },
  createChatCompletion: { body: ChatBody, response: ChatCompletion },
  createResponse: { body: ResponseBody, response: Response },
} as const satisfies RouteSchemas<typeof OPENAI_ROUTES>;
