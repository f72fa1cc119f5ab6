/**
 * The AsyncAPI 3.0 document of an agent's WebSocket, made from the tables of frames, capabilities, close codes and
 * limits. It speaks as the agent: it receives what clients send. Brings zod: only ever reached by `import()`.
 */
import type { z } from 'zod';
import { CLOSE_CODES } from './close-codes.ts';
import { CAPABILITIES, type ClientFrameType, clientFrames, serverFrames } from './frames.ts';
import { componentRef, type JsonSchema, toComponents } from './json-schema.ts';
import { DEFAULT_LIMITS, limitKey } from './limits.ts';

type ServerFrameType = keyof typeof serverFrames;

interface Ref {
  readonly $ref: string;
}

export interface AsyncApiMessage {
  readonly name: string;
  readonly title: string;
  readonly summary: string;
  readonly payload: JsonSchema;
}

export interface AsyncApiOperation {
  readonly action: 'send' | 'receive';
  readonly channel: Ref;
  readonly summary: string;
  readonly messages: readonly Ref[];
  readonly reply?: { readonly channel: Ref; readonly messages: readonly Ref[] };
}

export interface AsyncApiDocument {
  readonly asyncapi: '3.0.0';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly defaultContentType: 'application/json';
  readonly servers: Readonly<Record<string, JsonSchema>>;
  readonly channels: Readonly<
    Record<string, { readonly address: string; readonly messages: Readonly<Record<string, Ref>> }>
  >;
  readonly operations: Readonly<Record<string, AsyncApiOperation>>;
  readonly components: {
    readonly messages: Readonly<Record<string, AsyncApiMessage>>;
    readonly schemas: Readonly<Record<string, JsonSchema>>;
    readonly securitySchemes: Readonly<Record<string, JsonSchema>>;
  };
  readonly 'x-capabilities': string[];
  readonly 'x-close-codes': Readonly<Record<string, string>>;
  readonly 'x-limits': Readonly<Record<string, number>>;
}

const DESCRIPTION = [
  'One WebSocket for talking with an agent: text frames, one JSON object each, told apart by `type`. The first frame',
  'after `auth` is `auth_ok` or `auth_error`. Every accepted message gets exactly one terminal frame: `response`, or',
  '`error` with its `turn_id`. Fields and frames nobody knows are ignored in both directions.',
].join(' ');

const SUMMARIES: Readonly<Partial<Record<ClientFrameType | ServerFrameType, string>>> = {
  auth: 'Who this client is, and what else it wants',
  message: 'Something to answer, in a session',
  command: 'Something to do at once, also while a turn runs',
  ping: 'Is anybody there',
  auth_ok: 'The client may talk',
  auth_error: 'The token is wrong or missing',
  pong: 'The answer to `ping`',
  queued: 'The message waits for its turn',
  status: 'What the turn is doing',
  delta: 'The next piece of the answer; only with the capability `delta`',
  response: 'The answer; ends the turn',
  error: 'Ends a turn, refuses a message, or answers a frame that makes no sense',
  turn_complete: 'Nothing more comes of the turn; only with the capability `delta`',
  command_result: 'The answer to `command`',
  logs: 'Whether the event log is followed, and what of it',
  log: 'Entries of the event log, as they are written',
  resource_event: 'Something that clients show has changed; only with the capability `resources`',
  approval: 'Whether a call of a tool may be made',
  approval_request: 'Asks a person about a call of a tool; only with the capability `approvals`',
  approval_resolved: 'The question is answered or over; only with the capability `approvals`',
};

const REPLIES: Readonly<Partial<Record<ClientFrameType, readonly ServerFrameType[]>>> = {
  auth: ['auth_ok', 'auth_error'],
  message: ['queued', 'status', 'delta', 'response', 'error', 'turn_complete'],
  command: ['command_result'],
  ping: ['pong'],
  logs: ['logs', 'log'],
};

const SOCKET: Ref = { $ref: '#/channels/socket' };

/** `port`: the one the agent listens on. */
export function toAsyncApi({ version, port }: { version: string; port: number }): AsyncApiDocument {
  const received = framesOf('client', clientFrames, 'input');
  const sent = framesOf('server', serverFrames, 'output');
  const messages = { ...received.messages, ...sent.messages };
  const limits = Object.entries(DEFAULT_LIMITS).map(([name, value]) => [limitKey(name), value] as const);
  return {
    asyncapi: '3.0.0',
    info: { title: 'OpenAgent', version, description: DESCRIPTION },
    defaultContentType: 'application/json',
    servers: {
      agent: {
        host: 'localhost:{port}',
        protocol: 'ws',
        variables: { port: { default: String(port) } },
        security: [{ $ref: '#/components/securitySchemes/token' }],
      },
    },
    channels: {
      socket: {
        address: '/ws',
        messages: Object.fromEntries(
          Object.keys(messages).map((name) => [name, { $ref: `#/components/messages/${name}` }]),
        ),
      },
    },
    operations: { ...received.operations, ...sent.operations },
    components: {
      messages,
      schemas: { ...received.schemas, ...sent.schemas },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
    'x-capabilities': [...CAPABILITIES],
    'x-close-codes': CLOSE_CODES,
    'x-limits': Object.fromEntries(limits),
  };
}

/** Both sides may know a frame of one name: each keeps its own. */
function framesOf(
  side: 'client' | 'server',
  frames: Readonly<Record<string, z.ZodType>>,
  io: 'input' | 'output',
) {
  const types = Object.keys(frames);
  const summaries: Readonly<Record<string, string>> = SUMMARIES;
  const messages: Record<string, AsyncApiMessage> = {};
  const operations: Record<string, AsyncApiOperation> = {};
  for (const type of types) {
    const name = messageName(side, type);
    const summary = summaries[type] ?? type;
    messages[name] = { name: type, title: type, summary, payload: componentRef(name) };
    operations[side === 'client' ? `receive.${type}` : `send.${type}`] = {
      action: side === 'client' ? 'receive' : 'send',
      channel: SOCKET,
      summary,
      messages: [messageRef(side, type)],
      ...(side === 'client' ? replyTo(type) : {}),
    };
  }
  const named = types.map((type) => [messageName(side, type), frames[type] as z.ZodType] as const);
  return { messages, operations, schemas: toComponents(Object.fromEntries(named), io, 'draft-7') };
}

function replyTo(type: string): Pick<AsyncApiOperation, 'reply'> {
  const replies = (REPLIES as Readonly<Record<string, readonly string[]>>)[type];
  if (replies === undefined) return {};
  return { reply: { channel: SOCKET, messages: replies.map((reply) => messageRef('server', reply)) } };
}

function messageName(side: 'client' | 'server', type: string): string {
  return `${side}.${type}`;
}

function messageRef(side: 'client' | 'server', type: string): Ref {
  return { $ref: `#/channels/socket/messages/${messageName(side, type)}` };
}
