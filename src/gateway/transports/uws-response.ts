/**
 * Writes one answer to uWS. A response is gone the moment its last byte was taken or its client left, and touching it
 * then throws; a body that is made while it is sent meets both at any time.
 */
import type { HttpResponse, StreamedBody } from '../transport.ts';
import { BodyPump, type BodySink } from './body-pump.ts';
import { isBodiless, toStatusLine } from './rules.ts';
import type { UwsHttpResponse } from './uws-types.ts';

/** Something is really to be sent piece by piece; the rest `writeWhole` does in one go. */
export function isStreamed(response: HttpResponse, isHead: boolean): response is StreamedResponse {
  const { body, status } = response;
  if (typeof body === 'string' || body instanceof Uint8Array) return false;
  return body.length !== 0 && !isHead && !isBodiless(status);
}

export type StreamedResponse = HttpResponse & { readonly body: StreamedBody };

export function writeWhole(res: UwsHttpResponse, response: HttpResponse, isHead: boolean): void {
  const { status, body } = response;
  writeHead(res, response);
  if (isBodiless(status)) res.endWithoutBody();
  // `endWithoutBody(length)` leaves the response open in uWS 20: the header is written by hand.
  else if (isHead) {
    const length = lengthOf(body);
    if (length !== undefined) res.writeHeader('Content-Length', String(length));
    res.endWithoutBody();
  } else res.end(typeof body === 'string' || body instanceof Uint8Array ? body : '');
}

/** The response needs its abort handler already; it calls `abort` of the pump. */
export function pumpTo(res: UwsHttpResponse, response: StreamedResponse, stallMs: number): BodyPump {
  const Sink = response.body.length === undefined ? UwsChunkSink : UwsSink;
  const pump: BodyPump = new BodyPump(response.body, new Sink(res, response, () => pump), stallMs);
  return pump;
}

class UwsSink implements BodySink {
  readonly #res: UwsHttpResponse;
  readonly #response: StreamedResponse;
  readonly #pump: () => BodyPump;
  /** What uWS did not take at once, and where in the body it begins. */
  #waiting: { readonly piece: Uint8Array; readonly at: number } | undefined;
  #writtenBytes = 0;
  #isGone = false;

  constructor(res: UwsHttpResponse, response: StreamedResponse, pump: () => BodyPump) {
    this.#res = res;
    this.#response = response;
    this.#pump = pump;
  }

  write(piece: Uint8Array): boolean {
    const at = this.#writtenBytes;
    this.#writtenBytes += piece.byteLength;
    let wasTaken = false;
    this.#res.cork(() => {
      if (at === 0) {
        writeHead(this.#res, this.#response);
        this.#res.onWritable((offset) => this.#writeOn(offset));
      }
      wasTaken = this.#tryEnd(piece);
    });
    if (!wasTaken) this.#waiting = { piece, at };
    return wasTaken;
  }

  /** uWS has ended the response with its last byte. */
  end(): void {}

  cut(): void {
    if (!this.#isGone) this.#res.close();
  }

  #tryEnd(piece: Uint8Array): boolean {
    const [wasTaken, isComplete] = this.#res.tryEnd(piece, this.#response.body.length ?? 0);
    if (isComplete) this.#isGone = true;
    return wasTaken || isComplete;
  }

  /** Also called when nothing waits. */
  #writeOn(offset: number): boolean {
    const waiting = this.#waiting;
    if (waiting === undefined) return true;
    this.#pump().progressed();
    const wasTaken = this.#tryEnd(waiting.piece.subarray(offset - waiting.at));
    if (wasTaken) {
      this.#waiting = undefined;
      this.#pump().drained();
    }
    return wasTaken;
  }
}

/**
 * For a body whose length nobody knows. What does not fit uWS keeps itself; it asks for more when the client reads on, and
 * sends what it keeps with the next chunk or the end.
 */
class UwsChunkSink implements BodySink {
  readonly #res: UwsHttpResponse;
  readonly #response: StreamedResponse;
  readonly #pump: () => BodyPump;
  #isBegun = false;
  #isGone = false;

  constructor(res: UwsHttpResponse, response: StreamedResponse, pump: () => BodyPump) {
    this.#res = res;
    this.#response = response;
    this.#pump = pump;
  }

  write(piece: Uint8Array): boolean {
    let wasTaken = false;
    this.#res.cork(() => {
      this.#begin();
      wasTaken = this.#res.write(piece);
    });
    return wasTaken;
  }

  end(): void {
    this.#isGone = true;
    this.#res.cork(() => {
      this.#begin();
      this.#res.end();
    });
  }

  cut(): void {
    if (!this.#isGone) this.#res.close();
  }

  #begin(): void {
    if (this.#isBegun) return;
    this.#isBegun = true;
    writeHead(this.#res, this.#response);
    // Without a handler uWS would send the rest by itself, and cut a stream that is silent for 10 s after that.
    this.#res.onWritable(() => {
      this.#pump().drained();
      return true;
    });
  }
}

/** The headers that nearly all answers share, as the one line they are on the wire. */
const blocks = new WeakMap<HttpResponse['headers'], readonly [name: string, rest: string]>();

/** Each header that is written crosses to C++, for as long as the rest of a short answer takes. */
function blockOf(headers: HttpResponse['headers']): readonly [name: string, rest: string] | undefined {
  const known = blocks.get(headers);
  // Made for one answer: nobody will ask for it again.
  if (known || !Object.isFrozen(headers)) return known;
  const [first, ...others] = Object.entries(headers);
  if (!first || 'content-length' in headers) return undefined;
  const block = [first[0], [first[1], ...others.map((header) => header.join(': '))].join('\r\n')] as const;
  blocks.set(headers, block);
  return block;
}

function writeHead(res: UwsHttpResponse, { status, headers }: HttpResponse): void {
  if (status !== 200) res.writeStatus(toStatusLine(status));
  const block = blockOf(headers);
  if (block) {
    res.writeHeader(block[0], block[1]);
    return;
  }
  for (const name in headers) {
    // uWS writes the length itself; two of them would be an invalid message.
    if (name.length !== 14 || name.toLowerCase() !== 'content-length') res.writeHeader(name, headers[name]!);
  }
}

function lengthOf(body: HttpResponse['body']): number | undefined {
  if (typeof body === 'string') return Buffer.byteLength(body);
  return body.length;
}
