/**
 * What OpenAI's clients ask, as a turn of the agent. A field that would change what the answer means, and that an agent
 * cannot honour, is refused; one that only tunes a model is the agent's own business and ignored.
 */
import { randomUUID } from 'node:crypto';
import { AppError } from '../../contract/errors.ts';
import type { ChatRequestBody, ResponseRequestBody } from '../../contract/schemas/openai.ts';
import type { CompletionRequest, Said, SentImage } from '../services/completion-service.ts';
import { imageOf, isImagePart } from './openai-images.ts';

type Body = Readonly<Record<string, unknown>>;
/** Why a field is refused; undefined: it may stand there. */
type Rule = (value: unknown) => string | undefined;

const KEY = /^[\x20-\x7e]{1,256}$/;
const USER_PREFIX = 'user:';

const refusedIf =
  (isRefused: (value: unknown) => boolean, why: string): Rule =>
  (value) =>
    isRefused(value) ? why : undefined;
const isFilled = (value: unknown): boolean => (Array.isArray(value) ? value.length > 0 : true);
const TOOLS = 'an agent has tools of its own and calls none of the client’s: leave it out';

const RULES: Readonly<Record<string, Rule>> = {
  tools: refusedIf(isFilled, TOOLS),
  functions: refusedIf(isFilled, TOOLS),
  tool_choice: refusedIf((value) => value !== 'none' && value !== 'auto', TOOLS),
  function_call: refusedIf((value) => value !== 'none' && value !== 'auto', TOOLS),
  n: refusedIf((value) => value !== 1, 'a turn has one answer: ask n times'),
  logprobs: refusedIf((value) => value !== false, 'an agent does not tell them: leave it out'),
  top_logprobs: refusedIf((value) => value !== 0, 'an agent does not tell them: leave it out'),
  stop: refusedIf(isFilled, 'an answer is not cut at words: leave it out'),
  audio: refusedIf(isFilled, 'an agent answers with text'),
  modalities: refusedIf(
    (value) => !(Array.isArray(value) && value.every((kind) => kind === 'text')),
    'an agent answers with text',
  ),
  response_format: refusedIf(isFormat, 'the form of an answer cannot be promised: ask for it in the message'),
  background: refusedIf((value) => value !== false, 'an answer is waited for: leave it out'),
  conversation: refusedIf(isFilled, 'name a session with session_id instead'),
  prompt: refusedIf(isFilled, 'there are no stored prompts: send the text'),
};

function isFormat(value: unknown): boolean {
  return (value as { type?: unknown }).type !== 'text';
}

export function toChatTurn(body: ChatRequestBody, key: string): CompletionRequest {
  refuseUnsupported(body);
  const said: Message[] = [];
  const instructions: string[] = [];
  for (const [at, { role, content, ...rest }] of body.messages.entries()) {
    const where = `messages.${at}`;
    if (isFilledList(rest.tool_calls) || rest.function_call) throw invalid(`${where}.tool_calls`, TOOLS);
    take(role, sentIn(content, `${where}.content`), where, { said, instructions });
  }
  return { ...toTurn(body, key, said, instructions), previousId: undefined, keepsSession: false };
}

export function toResponseTurn(body: ResponseRequestBody, key: string): CompletionRequest {
  refuseUnsupported(body);
  const format = (body.text as { format?: unknown } | null | undefined)?.format;
  if (format !== undefined && format !== null && isFormat(format)) {
    throw invalid('text.format', 'the form of an answer cannot be promised: ask for it in the input');
  }
  const said: Message[] = [];
  const instructions: string[] = body.instructions ? [body.instructions] : [];
  const items = typeof body.input === 'string' ? [{ role: 'user', content: body.input }] : body.input;
  for (const [at, { type = 'message', role = '', content }] of items.entries()) {
    const where = `input.${at}`;
    // What a model thought is sent back by clients that keep a conversation themselves; it is of no use to another turn.
    if (type === 'reasoning') continue;
    if (type !== 'message')
      throw invalid(`${where}.type`, `items of type ${type} are not taken: send messages`);
    take(role, sentIn(content, `${where}.content`), where, { said, instructions });
  }
  return {
    ...toTurn(body, key, said, instructions),
    previousId: body.previous_response_id?.replace(/^resp_/, ''),
    keepsSession: body.store !== false,
  };
}

function toTurn(
  body: ChatRequestBody | ResponseRequestBody,
  key: string,
  said: readonly Message[],
  instructions: readonly string[],
): Omit<CompletionRequest, 'previousId' | 'keepsSession'> {
  if (key !== '' && !KEY.test(key)) {
    throw new AppError('request.invalid', 'Idempotency-Key has at most 256 printable characters');
  }
  // What the agent has not answered yet is asked of it now.
  const from = said.findLastIndex(({ role }) => role === 'assistant') + 1;
  const asked = said.slice(from);
  if (asked.length === 0) throw invalid('messages', 'the last message must be one of the user');
  const session = body.session_id ?? body.metadata?.session_id;
  const user = body.user ? `${USER_PREFIX}${body.user}` : undefined;
  return {
    id: key || randomUUID(),
    isKeyed: key !== '',
    model: body.model ?? undefined,
    sessionId: session ?? user,
    // Vendors refuse a conversation with an empty message, and clients send such: an answer that was a refusal.
    history: said
      .slice(0, from)
      .map(remembered)
      .filter(({ text }) => text.trim() !== ''),
    text: [...framed(instructions), ...asked.map(({ text }) => text)].join('\n\n'),
    images: asked.flatMap(({ images }) => images),
    wantsDeltas: body.stream === true,
  };
}

/** Sessions remember words: an image of an earlier message is shown no second time. */
function remembered({ role, text, images }: Message): Said {
  const lines = images.map(() => '[An image was sent here.]');
  return { role, text: [...lines, text].join('\n').trimEnd() };
}

function take(
  role: string,
  { text, images }: Sent,
  where: string,
  into: { readonly said: Message[]; readonly instructions: string[] },
): void {
  if (images.length > 0 && role !== 'user') {
    throw invalid(`${where}.content`, 'images are taken in messages of the user');
  }
  if (role === 'system' || role === 'developer') into.instructions.push(text);
  else if (role === 'user' || role === 'assistant') into.said.push({ role, text, images });
  else throw invalid(`${where}.role`, `messages of the role "${role}" are not taken`);
}

/** An agent has its own system prompt: what the client adds to it comes with the message. */
function framed(instructions: readonly string[]): readonly string[] {
  const text = instructions.filter((part) => part.trim() !== '').join('\n\n');
  return text === '' ? [] : [`[Instructions for this answer]\n${text}\n[End of the instructions]`];
}

type Content = ChatRequestBody['messages'][number]['content'];
interface Sent {
  readonly text: string;
  readonly images: readonly SentImage[];
}
type Message = Said & Sent;

const TEXT_PARTS = ['text', 'input_text', 'output_text'];

function sentIn(content: Content, where: string): Sent {
  if (content === undefined || content === null) return { text: '', images: [] };
  if (typeof content === 'string') return { text: content, images: [] };
  const texts: string[] = [];
  const images: SentImage[] = [];
  for (const [at, part] of content.entries()) {
    const { type, text } = part;
    if (TEXT_PARTS.includes(type) && text !== undefined) texts.push(text);
    else if (isImagePart(type)) images.push(imageOf(part, `${where}.${at}`, images.length + 1));
    else {
      const mend = 'send text and images, and upload other files with POST /api/upload';
      throw invalid(`${where}.${at}.type`, `parts of type ${type} are not taken: ${mend}`);
    }
  }
  return { text: texts.join('\n'), images };
}

function refuseUnsupported(body: Body): void {
  for (const [name, rule] of Object.entries(RULES)) {
    const value = body[name];
    const why = value === undefined || value === null ? undefined : rule(value);
    if (why !== undefined) throw invalid(name, why);
  }
}

function isFilledList(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

function invalid(field: string, message: string): AppError {
  return new AppError('request.invalid', `${field}: ${message}`, {
    details: { issues: [{ field: `body.${field}`, message }] },
  });
}
