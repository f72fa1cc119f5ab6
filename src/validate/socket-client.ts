/**
 * One WebSocket as the checks use it: frames in the order they came, waits with a deadline, and an eye on every frame
 * that does not look as the table of frames says.
 */
import { WebSocket } from 'ws';
import { serverFrames } from '../contract/frames.ts';
import { shown, Unexpected } from './check.ts';

export type Frame = { readonly type: string } & Readonly<Record<string, unknown>>;

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export interface ConnectOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
}

export interface ConversationOptions extends ConnectOptions {
  readonly timeoutMs: number;
  /** Frames are held against the table; gateways of the reference have fewer fields. */
  readonly isStrict: boolean;
}

/** The upgrade was answered with a plain HTTP answer. */
export class Refused extends Unexpected {
  readonly status: number;
  constructor(status: number) {
    super(`the upgrade was refused with ${status}`);
    this.status = status;
  }
}

export class Conversation {
  readonly frames: Frame[] = [];
  /** Frames that the table does not allow. */
  readonly strange: string[] = [];
  readonly #ws: WebSocket;
  readonly #timeoutMs: number;
  readonly #isStrict: boolean;
  readonly #changed = new Set<() => void>();
  #read = 0;
  #pings = 0;
  #closed: Closed | undefined;

  constructor(ws: WebSocket, { timeoutMs, isStrict }: ConversationOptions) {
    this.#ws = ws;
    this.#timeoutMs = timeoutMs;
    this.#isStrict = isStrict;
    ws.on('error', () => {}); // how the socket closed tells what matters
    ws.on('message', (data, isBinary) => this.#receive(String(data), isBinary));
    ws.on('close', (code, reason) => {
      this.#closed = { code, reason: String(reason) };
      this.#wake();
    });
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  send(...frames: readonly (object | string)[]): void {
    for (const frame of frames) {
      const isRaw = typeof frame === 'string' || Buffer.isBuffer(frame);
      this.#ws.send(isRaw ? (frame as string | Buffer) : JSON.stringify(frame), () => {}); // a failure shows as its close
    }
  }

  /** The next frame not read yet that the predicate takes; those before it are skipped. */
  async next(isIt: (frame: Frame) => boolean, what: string, timeoutMs = this.#timeoutMs): Promise<Frame> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      while (this.#read < this.frames.length) {
        const frame = this.frames[this.#read++] as Frame;
        if (isIt(frame)) return frame;
      }
      if (this.#closed) throw new Unexpected(`closed with ${this.#closed.code} before ${what} came`);
      if (!(await this.#change(deadline))) throw new Unexpected(`no ${what} within ${timeoutMs / 1000} s`);
    }
  }

  nextOf(type: string, timeoutMs?: number): Promise<Frame> {
    return this.next((frame) => frame.type === type, `\`${type}\` frame`, timeoutMs);
  }

  /** All that the server sent before it read what this client has sent until now: the pong stands behind it. */
  async settled(): Promise<readonly Frame[]> {
    const before = this.frames.filter(({ type }) => type === 'pong').length;
    const id = `mark-${++this.#pings}`;
    this.send({ type: 'ping', id });
    const deadline = performance.now() + this.#timeoutMs;
    while (this.frames.filter(({ type }) => type === 'pong').length <= before) {
      if (this.#closed) throw new Unexpected(`closed with ${this.#closed.code} before its pong came`);
      if (!(await this.#change(deadline))) throw new Unexpected('no pong came');
    }
    return this.frames.filter(({ type }) => type !== 'pong');
  }

  async closed(): Promise<Closed> {
    const deadline = performance.now() + this.#timeoutMs;
    while (this.#closed === undefined) {
      if (!(await this.#change(deadline))) throw new Unexpected('the socket stays open');
    }
    return this.#closed;
  }

  close(): Promise<Closed> {
    this.#ws.close(1000);
    return this.closed();
  }

  /** As a cable that is pulled: no closing handshake. */
  vanish(): void {
    this.#ws.terminate();
  }

  #receive(text: string, isBinary: boolean): void {
    const frame = toFrame(text);
    if (isBinary || frame === undefined) {
      this.strange.push(`${isBinary ? 'a binary frame' : 'not a JSON object with a type'}: ${shown(text)}`);
      return;
    }
    const problem = this.#isStrict ? problemOf(frame) : undefined;
    if (problem !== undefined) this.strange.push(`${problem}: ${shown(text)}`);
    this.frames.push(frame);
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#changed]) wake();
  }

  /** False: nothing happened until the deadline. */
  #change(deadline: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (hasChanged: boolean): void => {
        clearTimeout(timer);
        this.#changed.delete(wake);
        resolve(hasChanged);
      };
      const wake = (): void => settle(true);
      const timer = setTimeout(() => settle(false), Math.max(0, deadline - performance.now()));
      this.#changed.add(wake);
    });
  }
}

export function openConversation(url: string, options: ConversationOptions): Promise<Conversation> {
  const ws = new WebSocket(url, {
    headers: { ...options.headers },
    handshakeTimeout: options.timeoutMs,
    perMessageDeflate: false,
    ...(options.headers?.origin === undefined ? {} : { origin: options.headers.origin }),
  });
  const conversation = new Conversation(ws, options);
  return new Promise((resolve, reject) => {
    ws.once('open', () => resolve(conversation));
    ws.once('error', (error) => reject(new Unexpected(`no WebSocket: ${error.message}`)));
    ws.once('unexpected-response', (_request, response) => {
      response.resume();
      reject(new Refused(response.statusCode ?? 0));
      ws.terminate();
    });
  });
}

function toFrame(text: string): Frame | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    return typeof (value as { type?: unknown }).type === 'string' ? (value as Frame) : undefined;
  } catch {
    return undefined; // said by the caller, with the text
  }
}

/** Frames of types that the table does not have are those of a newer gateway. */
function problemOf(frame: Frame): string | undefined {
  if (!Object.hasOwn(serverFrames, frame.type)) return undefined;
  const result = serverFrames[frame.type as keyof typeof serverFrames].safeParse(frame);
  const issue = result.error?.issues[0];
  return issue === undefined ? undefined : `${issue.path.join('.')}: ${issue.message}`;
}
