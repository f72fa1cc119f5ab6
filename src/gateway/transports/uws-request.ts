/**
 * One request as uWS gives it. Each field crosses from C++ when it is first read, the headers all in one pass: that
 * costs no more than asking for three by name, and shows repeated ones, of which uWS names only the first. `keep` reads
 * everything before uWS frees the request under an asynchronous handler. Nothing is allocated for a request but this:
 * `GET /api/health` is measured against a bare server.
 */
import type { HttpRequest } from '../transport.ts';
import { type BodySource, IncomingBody } from './incoming-body.ts';
import { toAddressText } from './rules.ts';
import type { UwsHttpRequest, UwsHttpResponse } from './uws-types.ts';

/** What is known of requests before they are read. */
export interface UwsRequestKind {
  readonly isUpgrade: boolean;
  /** Undefined: any. */
  readonly method: string | undefined;
}

/** The one whose headers are being read, by the one visitor of all requests. */
let reading: UwsRequest;

export class UwsRequest implements HttpRequest {
  readonly isUpgrade: boolean;
  isAborted = false;
  readonly #res: UwsHttpResponse;
  readonly #req: UwsHttpRequest;
  #method: string | undefined;
  #path: string | undefined;
  #query: string | undefined;
  #hasRead = false;
  #host: string | undefined;
  #origin: string | undefined;
  #authorization: string | undefined;
  #contentType: string | undefined;
  #secFetchSite: string | undefined;
  #remoteAddress: string | undefined;
  readonly #stallMs: number;
  #body: IncomingBody | undefined;
  #isReleased = false;
  #onGone: (() => void)[] | undefined;

  constructor(res: UwsHttpResponse, req: UwsHttpRequest, kind: UwsRequestKind, stallMs: number) {
    this.#res = res;
    this.#req = req;
    this.isUpgrade = kind.isUpgrade;
    this.#method = kind.method;
    this.#stallMs = stallMs;
  }

  get method(): string {
    this.#method ??= this.#req.getCaseSensitiveMethod();
    return this.#method;
  }

  get path(): string {
    this.#path ??= this.#req.getUrl();
    return this.#path;
  }

  get query(): string {
    this.#query ??= this.#req.getQuery() ?? '';
    return this.#query;
  }

  get host(): string {
    if (!this.#hasRead) this.#read();
    return this.#host ?? '';
  }

  get origin(): string {
    if (!this.#hasRead) this.#read();
    return this.#origin ?? '';
  }

  get authorization(): string {
    if (!this.#hasRead) this.#read();
    return this.#authorization ?? '';
  }

  get contentType(): string {
    if (!this.#hasRead) this.#read();
    return this.#contentType ?? '';
  }

  get secFetchSite(): string {
    if (!this.#hasRead) this.#read();
    return this.#secFetchSite ?? '';
  }

  remoteAddress(): string {
    this.#remoteAddress ??= fromAddressBytes(this.#res.getRemoteAddress());
    return this.#remoteAddress;
  }

  header(name: string): string {
    return this.#req.getHeader(name);
  }

  readBody(bytesMax: number): Promise<Buffer> {
    return this.#open(bytesMax, 'copied').gather();
  }

  stream(bytesMax: number): IncomingBody {
    return this.#open(bytesMax, 'reused');
  }

  /** uWS empties the ArrayBuffer after its callback. */
  #open(bytesMax: number, chunks: 'copied' | 'reused'): IncomingBody {
    const res = this.#res;
    const source: BodySource = {
      pause: () => this.#isTouchable && res.pause(),
      resume: () => this.#isTouchable && res.resume(),
      cut: () => this.#isTouchable && res.close(),
    };
    const body = new IncomingBody(source, {
      bytesMax,
      announced: this.header('content-length'),
      stallMs: this.#stallMs,
      chunks,
    });
    this.#body = body;
    res.onData((chunk, isLast) => {
      const hasProgressed = body.push(new Uint8Array(chunk));
      if (isLast) body.complete();
      else if (hasProgressed && this.#isTouchable) restartClock(res);
    });
    return body;
  }

  onGone(listener: () => void): void {
    this.#onGone ??= [];
    this.#onGone.push(listener);
    if (this.isAborted) this.#tellGone();
  }

  /** Reads everything while uWS still has it. */
  keep(): void {
    void (this.method + this.path + this.query + this.host + this.remoteAddress());
  }

  /** The client went away: nothing may be written any more, and no more of the body will come. */
  abort(): void {
    this.isAborted = true;
    this.#body?.abort();
    this.#tellGone();
  }

  #tellGone(): void {
    for (const listener of this.#onGone?.splice(0) ?? []) listener();
  }

  /** Called right before the response is written: uWS has its own rules for what still comes then. */
  release(): void {
    if (this.#body === undefined) return;
    this.#body.release();
    this.#body.forget();
    this.#isReleased = true;
  }

  get #isTouchable(): boolean {
    return !this.isAborted && !this.#isReleased;
  }

  #read(): void {
    this.#hasRead = true;
    reading = this;
    this.#req.forEach(UwsRequest.#note);
  }

  static readonly #note = (name: string, value: string): void => {
    const request = reading;
    switch (name) {
      case 'host':
        request.#host = joined(request.#host, value);
        break;
      case 'origin':
        request.#origin = joined(request.#origin, value);
        break;
      case 'sec-fetch-site':
        request.#secFetchSite = joined(request.#secFetchSite, value);
        break;
      case 'authorization':
        request.#authorization ??= value;
        break;
      case 'content-type':
        request.#contentType ??= value;
        break;
    }
  };
}

/** uWS cuts who sends less than 16 KiB a second for 10 s, which is what a phone may do; 10 s from now, after this. */
function restartClock(res: UwsHttpResponse): void {
  res.pause();
  res.resume();
}

/** Two of a header that decides who may ask: joined they are no host and no origin, and the access rules refuse. */
function joined(first: string | undefined, next: string): string {
  return first === undefined ? next : `${first}, ${next}`;
}

/** uWS spells IPv6 addresses out in full; rules about peers compare the short form. */
export function fromAddressBytes(address: ArrayBuffer): string {
  const bytes = new Uint8Array(address);
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return '';
  const isMapped =
    bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((byte) => byte === 0);
  if (isMapped) return toAddressText(`::ffff:${bytes.subarray(12).join('.')}`);
  const groups = Buffer.from(bytes).toString('hex').match(/.{4}/g) ?? [];
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
