/**
 * One WebSocket to an agent that mends itself: it comes back after a restart under the same client id, gets what it
 * missed, and asks again, under the same id, for what has no answer yet. So each message has one answer, whatever happens
 * to the socket.
 */
import ReconnectingSocket, { type Options as SocketOptions } from 'partysocket/ws';
import type { ClientFrame, ServerFrame } from '../../../src/contract/frames.ts';
import { AgentError, clientClosed, connectionLost } from './errors.ts';
import { createSettle, type FrameOf, PendingTurn, type ResponseFrame, type Turn } from './turn.ts';

export type ChatState = 'connecting' | 'open' | 'waiting' | 'refused' | 'closed';
export type Attachment = NonNullable<Extract<ClientFrame, { type: 'message' }>['attachments']>[number];

export interface ChatOptions {
  /** `ws://host:port/ws`; a function is asked before each connect, for an agent whose port may change. */
  readonly url: string | (() => Promise<string>);
  readonly token?: string | undefined;
  /** Who this is; under it the agent keeps what was missed. Default: a new one for each chat. */
  readonly clientId?: string;
  /** With `delta` and `resume`, pieces of an answer go on over the next connection where they were cut off. */
  readonly capabilities?: readonly string[];
  /** A class like the browser's, where there is none. */
  readonly WebSocket?: unknown;
  /** Messages that wait for their answer at once. Default 1,000. */
  readonly pendingMax?: number;
  /** Pause before the second reconnect, doubled up to `reconnectMsMax`. Default 250 and 30,000. */
  readonly reconnectMsMin?: number;
  readonly reconnectMsMax?: number;
}

export interface SendOptions {
  readonly sessionId?: string;
  readonly attachments?: readonly Attachment[];
  /** Default: one is made. The same id again is the same message. */
  readonly id?: string;
}

export interface ChatEvents {
  state: ChatState;
  /** Every frame, as it came. */
  frame: ServerFrame;
  /** An answer to a message of an earlier life of this client id. */
  missed: ResponseFrame | FrameOf<'error'>;
}

const PENDING_MAX = 1_000;
const RECONNECT_MS = { min: 250, max: 30_000 };
const CONNECT_TIMEOUT_MS = 10_000;
/** Terminal frames may come twice; that many turns are remembered. */
const ENDED_MAX = 1_000;

type Listeners = { readonly [K in keyof ChatEvents]: Set<(event: ChatEvents[K]) => void> };
interface PendingCommand {
  resolve(frame: FrameOf<'command_result'>): void;
  reject(error: unknown): void;
}

export class Chat {
  readonly clientId: string;
  readonly #options: ChatOptions;
  readonly #socket: ReconnectingSocket;
  readonly #listeners: Listeners = { state: new Set(), frame: new Set(), missed: new Set() };
  readonly #turns = new Map<string, PendingTurn>();
  readonly #ended = new Set<string>();
  readonly #commands = new Map<string, PendingCommand>();
  readonly #ready = createSettle<FrameOf<'auth_ok'>>();
  #state: ChatState = 'connecting';
  #limits: Readonly<Record<string, number>> = {};
  #canResume = false;
  /** Of this connection: what was missed has come, new messages may go out. */
  #isSynced = false;

  constructor(options: ChatOptions) {
    this.#options = options;
    this.clientId = options.clientId ?? `sdk-${randomId()}`;
    const min = options.reconnectMsMin ?? RECONNECT_MS.min;
    this.#socket = new ReconnectingSocket(options.url, [], {
      minReconnectionDelay: min + Math.random() * min,
      maxReconnectionDelay: options.reconnectMsMax ?? RECONNECT_MS.max,
      reconnectionDelayGrowFactor: 2,
      minUptime: min,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      // What is to be sent again is decided here, by what has been acknowledged.
      maxEnqueuedMessages: 0,
      ...(options.WebSocket === undefined ? {} : { WebSocket: options.WebSocket }),
    } satisfies SocketOptions);
    this.#socket.addEventListener('open', () => this.#signIn());
    this.#socket.addEventListener('message', ({ data }) => this.#receive(String(data)));
    this.#socket.addEventListener('close', () => this.#lost());
    this.#socket.addEventListener('error', () => {}); // `close` follows
  }

  get state(): ChatState {
    return this.#state;
  }

  /** The first `auth_ok`. Rejects when the agent refuses the token, or the chat is closed before. */
  get ready(): Promise<FrameOf<'auth_ok'>> {
    return this.#ready.promise;
  }

  on<K extends keyof ChatEvents>(type: K, listener: (event: ChatEvents[K]) => void): () => void {
    this.#listeners[type].add(listener);
    return () => void this.#listeners[type].delete(listener);
  }

  /** Goes out now, or when the connection is back. */
  send(text: string, options: SendOptions = {}): Turn {
    const turn = new PendingTurn({
      id: options.id ?? randomId(),
      session_id: options.sessionId ?? 'default',
      text,
      ...(options.attachments?.length ? { attachments: options.attachments } : {}),
    });
    const known = this.#turns.get(turn.id);
    if (known) return known;
    const refusal = this.#refusal();
    if (refusal) turn.fail(refusal);
    else {
      this.#turns.set(turn.id, turn);
      if (this.#isSynced) this.#sendMessage(turn);
    }
    return turn;
  }

  /** Rejects when the connection is lost before the result: whether it was carried out is not known then. */
  command(name: string, options: { readonly sessionId?: string } = {}): Promise<FrameOf<'command_result'>> {
    return new Promise((resolve, reject) => {
      if (!this.#isSynced) return reject(this.#refusal() ?? connectionLost(`command ${name}`));
      const id = randomId();
      this.#commands.set(id, { resolve, reject });
      const session = options.sessionId === undefined ? {} : { session_id: options.sessionId };
      this.#socket.send(JSON.stringify({ type: 'command', name, id, ...session }));
    });
  }

  /** What has no answer yet is rejected with `client.closed`; the agent goes on with it all the same. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#end('closed', clientClosed('chat'));
  }

  #signIn(): void {
    const { token, capabilities } = this.#options;
    const auth = {
      type: 'auth',
      client_id: this.clientId,
      ...(token === undefined ? {} : { token }),
      // Asking, even for nothing, brings the agent's limits.
      capabilities: capabilities ?? [],
    };
    this.#socket.send(JSON.stringify(auth));
    // Its answer comes behind all that this client has missed.
    this.#socket.send(JSON.stringify({ type: 'ping', id: SYNC }));
  }

  #receive(text: string): void {
    const frame = JSON.parse(text) as ServerFrame;
    this.#emit('frame', frame);
    switch (frame.type) {
      case 'auth_ok':
        this.#limits = frame.limits ?? {};
        this.#canResume = frame.capabilities?.includes('resume') ?? false;
        return this.#ready.resolve(frame);
      case 'auth_error':
        return this.#end('refused', new AgentError(frame.reason, { code: frame.code }));
      case 'pong':
        return frame.id === SYNC ? this.#sync() : undefined;
      case 'command_result':
        return this.#finishCommand(frame);
      default:
        return this.#toTurn(frame);
    }
  }

  #sync(): void {
    this.#isSynced = true;
    for (const turn of this.#turns.values()) {
      if (turn.isAccepted && this.#canResume) this.#socket.send(turn.resumeFrame());
      // Else an answer that was lost on its way, or is too old to come by itself, would never come.
      else this.#sendMessage(turn);
    }
    this.#setState('open');
  }

  /** One that is too large would close the socket, each time it is sent again. */
  #sendMessage(turn: PendingTurn): void {
    const bytesMax = this.#limits.frame_bytes ?? Number.POSITIVE_INFINITY;
    if (new TextEncoder().encode(turn.frame).byteLength <= bytesMax)
      return void this.#socket.send(turn.frame);
    this.#turns.delete(turn.id);
    turn.fail(new AgentError(`The message is larger than ${bytesMax} bytes`, { code: 'frame.too_large' }));
  }

  #toTurn(frame: ServerFrame): void {
    const id = 'id' in frame ? frame.id : undefined;
    const turn = id === undefined ? undefined : this.#turns.get(id);
    if (turn) {
      if (turn.take(frame)) this.#turns.delete(turn.id);
    } else if (isTerminal(frame) && !this.#ended.has(frame.turn_id)) this.#emit('missed', frame);
    if (isTerminal(frame)) this.#remember(frame.turn_id);
  }

  #remember(turnId: string): void {
    this.#ended.add(turnId);
    for (const oldest of this.#ended) {
      if (this.#ended.size <= ENDED_MAX) break;
      this.#ended.delete(oldest);
    }
  }

  #finishCommand(frame: FrameOf<'command_result'>): void {
    const command = this.#commands.get(frame.id ?? '');
    this.#commands.delete(frame.id ?? '');
    if (frame.code === undefined) command?.resolve(frame);
    else command?.reject(new AgentError(frame.text, { code: frame.code }));
  }

  #lost(): void {
    this.#isSynced = false;
    this.#failCommands(connectionLost('command'));
    if (this.#state !== 'closed' && this.#state !== 'refused') this.#setState('waiting');
  }

  #end(state: 'closed' | 'refused', error: AgentError): void {
    this.#isSynced = false;
    this.#setState(state);
    this.#socket.close(1000);
    this.#ready.reject(error);
    this.#failCommands(error);
    for (const turn of this.#turns.values()) turn.fail(error);
    this.#turns.clear();
  }

  #failCommands(error: AgentError): void {
    for (const { reject } of this.#commands.values()) reject(error);
    this.#commands.clear();
  }

  #refusal(): AgentError | undefined {
    if (this.#state === 'closed') return clientClosed('chat');
    if (this.#state === 'refused')
      return new AgentError('The agent refused the token', { code: 'auth.invalid' });
    const max = this.#options.pendingMax ?? PENDING_MAX;
    if (this.#turns.size < max) return undefined;
    return new AgentError(`${max} messages wait for their answers already`, { code: 'queue.client_full' });
  }

  #setState(state: ChatState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#emit('state', state);
  }

  #emit<K extends keyof ChatEvents>(type: K, event: ChatEvents[K]): void {
    for (const listener of [...this.#listeners[type]]) listener(event);
  }
}

const SYNC = 'sdk-sync';

/** Errors without a turn answer a frame, or refuse a message that this client no longer waits for. */
function isTerminal(frame: ServerFrame): frame is (ResponseFrame | FrameOf<'error'>) & { turn_id: string } {
  return (frame.type === 'response' || frame.type === 'error') && frame.turn_id !== undefined;
}

/** `crypto.randomUUID` is missing on plain-HTTP pages. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
