/**
 * A conversation as the AI SDK wants it. What a provider wants to see again with an answer of its own (signatures of its
 * reasoning, ids of its items) is kept beside the answer, never instead of it: the text and the tool calls are ours.
 */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type {
  LanguageModelV3FilePart,
  LanguageModelV3FunctionTool,
  LanguageModelV3Message,
  LanguageModelV3Prompt,
  LanguageModelV3ReasoningPart,
  LanguageModelV3TextPart,
  LanguageModelV3ToolCallPart,
  SharedV3ProviderOptions,
} from '@ai-sdk/provider';
import type { CallTarget } from './call-target.ts';
import type { ImagePart, ModelMessage, ModelRequest, ToolSpec } from './provider.ts';

type AssistantMessage = Extract<ModelMessage, { role: 'assistant' }>;
type AssistantPart = LanguageModelV3TextPart | LanguageModelV3ReasoningPart | LanguageModelV3ToolCallPart;

/** `providerData` of an answer. Texts are parts of the message's own text, calls are those of the message. */
export interface AnswerShape {
  /** Runtime id: to another model its signatures mean nothing. */
  readonly from: string;
  readonly parts: readonly ShapePart[];
}

export type ShapePart =
  | { readonly type: 'text'; readonly chars: number; readonly options?: SharedV3ProviderOptions }
  | { readonly type: 'reasoning'; readonly text: string; readonly options?: SharedV3ProviderOptions }
  | { readonly type: 'call'; readonly id: string; readonly options?: SharedV3ProviderOptions };

const CACHED: SharedV3ProviderOptions = { anthropic: { cacheControl: { type: 'ephemeral' } } };
const ID_CHARS = 64;

/** Vendors of the older OpenAI wire that want their reasoning back; others refuse what they do not know. */
const WANT_REASONING: readonly string[] = ['deepseek', 'zai'];

export async function toPrompt(request: ModelRequest, target: CallTarget): Promise<LanguageModelV3Prompt> {
  const messages = await Promise.all(request.messages.map((message) => toMessage(message, target)));
  const system: LanguageModelV3Message[] =
    request.system === '' ? [] : [{ role: 'system', content: whole(request.system) }];
  const prompt = [...system, ...messages];
  return target.settings.wire === 'anthropic' ? withCacheMarks(prompt) : prompt;
}

/** A turn with tools sends its beginning again with every step: Anthropic reads what is marked at a tenth of the price. */
function withCacheMarks(prompt: LanguageModelV3Prompt): LanguageModelV3Prompt {
  return prompt.map((message, at) =>
    message.role === 'system' || at === prompt.length - 1 ? { ...message, providerOptions: CACHED } : message,
  );
}

/** OpenAI's newer API would make every property of a schema a required one, unless told not to. */
export function toTools(
  tools: readonly ToolSpec[] | undefined,
  { settings }: CallTarget,
): LanguageModelV3FunctionTool[] | undefined {
  if (tools === undefined || tools.length === 0) return undefined;
  const asWritten = settings.wire === 'openai' ? { strict: false } : {};
  return tools.map(({ name, description, inputSchema }) => ({
    type: 'function',
    name,
    description,
    inputSchema: inputSchema as LanguageModelV3FunctionTool['inputSchema'],
    ...asWritten,
  }));
}

async function toMessage(message: ModelMessage, target: CallTarget): Promise<LanguageModelV3Message> {
  switch (message.role) {
    case 'user': {
      const images = await Promise.all((message.images ?? []).map(toFilePart));
      const text: LanguageModelV3TextPart[] =
        message.text === '' ? [] : [{ type: 'text', text: whole(message.text) }];
      return { role: 'user', content: [...text, ...images] };
    }
    case 'assistant':
      return { role: 'assistant', content: toAnswerParts({ ...message, text: whole(message.text) }, target) };
    case 'tool':
      return {
        role: 'tool',
        content: message.results.map(({ id, name, text, isError }) => ({
          type: 'tool-result',
          toolCallId: fitId(id, target.provider),
          toolName: name,
          output: { type: isError ? 'error-text' : 'text', value: whole(text) },
        })),
      };
  }
}

/** A file that is gone is said to be: the rest of the conversation is worth an answer. */
async function toFilePart({
  mediaType,
  path,
}: ImagePart): Promise<LanguageModelV3FilePart | LanguageModelV3TextPart> {
  try {
    return { type: 'file', mediaType, data: await readFile(path) };
  } catch {
    return { type: 'text', text: `[The image ${basename(path)} is not there any more.]` };
  }
}

function toAnswerParts(message: AssistantMessage, target: CallTarget): AssistantPart[] {
  return [...(inItsShape(message, target) ?? inOrder(message, target))];
}

function inOrder({ text, toolCalls = [] }: AssistantMessage, target: CallTarget): readonly AssistantPart[] {
  const calls = toolCalls.map((call) => toCallPart(call, target));
  return text === '' ? calls : [{ type: 'text', text }, ...calls];
}

function toCallPart(
  call: { readonly id: string; readonly name: string; readonly input: unknown },
  target: CallTarget,
): LanguageModelV3ToolCallPart {
  // A call whose input was no JSON stays a call: what answers it has to find it.
  const input = typeof call.input === 'object' && call.input !== null ? wholeIn(call.input) : {};
  return { type: 'tool-call', toolCallId: fitId(call.id, target.provider), toolName: call.name, input };
}

/** Undefined where the shape is not of this model, or does not fit the text and calls any more. */
function inItsShape(message: AssistantMessage, target: CallTarget): readonly AssistantPart[] | undefined {
  const shape = message.providerData as AnswerShape | undefined;
  if (shape?.from !== target.runtimeId || !Array.isArray(shape.parts)) return undefined;
  const parts: AssistantPart[] = [];
  const left = new Map((message.toolCalls ?? []).map((call) => [call.id, call]));
  let at = 0;
  for (const part of shape.parts as readonly ShapePart[]) {
    const options = part.options === undefined ? {} : { providerOptions: part.options };
    if (part.type === 'text') {
      parts.push({ type: 'text', text: message.text.slice(at, at + part.chars), ...options });
      at += part.chars;
    } else if (part.type === 'reasoning') {
      parts.push({ type: 'reasoning', text: part.text, ...options });
    } else {
      const call = left.get(part.id);
      if (call === undefined) return undefined;
      left.delete(part.id);
      parts.push({ ...toCallPart(call, target), ...options });
    }
  }
  return at === message.text.length && left.size === 0 ? parts : undefined;
}

/** Half of a character, as a cut or a tool leaves it, is no Unicode: vendors refuse the whole conversation for it. */
function whole(text: string): string {
  return text.replaceAll(/\p{Cs}/gu, '\ufffd');
}

function wholeIn(value: unknown): unknown {
  if (typeof value === 'string') return whole(value);
  if (Array.isArray(value)) return value.map(wholeIn);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [whole(key), wholeIn(inner)]));
}

/** Also where nothing vouches for it. */
export function wantsReasoning({ provider }: CallTarget): boolean {
  return WANT_REASONING.includes(provider);
}

/** An id from another vendor in a form that this one takes, the same for a call and its result. */
export function fitId(id: string, provider: string): string {
  if (provider === 'mistral') return /^[a-zA-Z0-9]{9}$/.test(id) ? id : hashOf(id);
  if (/^[a-zA-Z0-9_-]+$/.test(id) && id.length <= ID_CHARS) return id;
  return `${id.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, ID_CHARS - 10)}_${hashOf(id)}`;
}

/** Nine letters and digits. */
function hashOf(id: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(id)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(36).padStart(9, '0').slice(-9);
}
