/**
 * One request of node:http. Its body is read only when asked for; of one that nobody asked for, node:http would wait for
 * the rest for ever, so it is given the same time as any other.
 */
import type { IncomingMessage } from 'node:http';
import type { HttpRequest } from '../transport.ts';
import { freeMemory } from './free-memory.ts';
import { IncomingBody } from './incoming-body.ts';
import { toAddressText } from './rules.ts';

export class NodeRequest implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly host: string;
  readonly origin: string;
  readonly authorization: string;
  readonly contentType: string;
  readonly secFetchSite: string;
  readonly isUpgrade: boolean;
  readonly #req: IncomingMessage;
  readonly #stallMs: number;
  #body: IncomingBody | undefined;
  #onGone: (() => void)[] | undefined;
  #isGone = false;

  constructor(req: IncomingMessage, isUpgrade: boolean, stallMs: number) {
    const url = req.url ?? '/';
    const { headers } = req;
    const queryAt = url.indexOf('?');
    this.method = req.method ?? 'GET';
    this.path = queryAt < 0 ? url : url.slice(0, queryAt);
    this.query = queryAt < 0 ? '' : url.slice(queryAt + 1);
    this.host = hostOf(req);
    this.origin = headers.origin ?? '';
    this.authorization = headers.authorization ?? '';
    this.contentType = headers['content-type'] ?? '';
    this.secFetchSite = headerOf(req, 'sec-fetch-site');
    this.isUpgrade = isUpgrade;
    this.#req = req;
    this.#stallMs = stallMs;
  }

  remoteAddress(): string {
    return toAddressText(this.#req.socket.remoteAddress);
  }

  header(name: string): string {
    return headerOf(this.#req, name);
  }

  readBody(bytesMax: number): Promise<Buffer> {
    return this.#open(bytesMax, 'kept').gather();
  }

  stream(bytesMax: number): IncomingBody {
    return this.#open(bytesMax, 'reused');
  }

  #open(bytesMax: number, chunks: 'kept' | 'reused'): IncomingBody {
    const req = this.#req;
    const source = {
      pause: () => void req.pause(),
      resume: () => void req.resume(),
      cut: () => void req.destroy(),
    };
    const announced = this.header('content-length');
    const body = new IncomingBody(source, { bytesMax, announced, stallMs: this.#stallMs, chunks });
    this.#body = body;
    req.on('data', (chunk: Buffer) => {
      body.push(chunk);
      if (chunks === 'reused') freeMemory(chunk);
    });
    req.once('end', () => body.complete());
    // It is the end of the connection too; `close` follows.
    req.on('error', () => {});
    req.once('close', () => body.abort());
    return body;
  }

  onGone(listener: () => void): void {
    this.#onGone ??= [];
    this.#onGone.push(listener);
    if (this.#isGone) this.gone();
  }

  /** The connection was lost before the answer was written. */
  gone(): void {
    this.#isGone = true;
    for (const listener of this.#onGone?.splice(0) ?? []) listener();
  }

  /** Called right before the response is written. What still comes is dropped, and must come within its time. */
  release(): void {
    const { headers, complete } = this.#req;
    const owesBody = !complete && (headers['content-length'] ?? headers['transfer-encoding']) !== undefined;
    if (this.#body === undefined && owesBody) this.stream(Number.POSITIVE_INFINITY);
    this.#body?.release();
  }
}

function headerOf({ headers }: IncomingMessage, name: string): string {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : (value ?? '');
}

/** All of them, joined: node:http keeps the first `Host` only, and the access rules must see that there are two. */
function hostOf({ rawHeaders }: IncomingMessage): string {
  let host: string | undefined;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length !== 4 || name.toLowerCase() !== 'host') continue;
    host = host === undefined ? rawHeaders[i + 1]! : `${host}, ${rawHeaders[i + 1]}`;
  }
  return host ?? '';
}
