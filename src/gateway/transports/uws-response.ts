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
  return body.length > 0 && !isHead && !isBodiless(status);
}

export type StreamedResponse = HttpResponse & { readonly body: StreamedBody };

export function writeWhole(res: UwsHttpResponse, response: HttpResponse, isHead: boolean): void {
  const { status, body } = response;
  writeHead(res, response);
  if (isBodiless(status)) res.endWithoutBody();
  // `endWithoutBody(length)` leaves the response open in uWS 20: the header is written by hand.
  else if (isHead) res.writeHeader('Content-Length', String(lengthOf(body))).endWithoutBody();
  else res.end(typeof body === 'string' || body instanceof Uint8Array ? body : '');
}

/** The response needs its abort handler already; it calls `abort` of the pump. */
export function pumpTo(res: UwsHttpResponse, response: StreamedResponse, stallMs: number): BodyPump {
  const pump: BodyPump = new BodyPump(response.body, new UwsSink(res, response, () => pump), stallMs);
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
    const [wasTaken, isComplete] = this.#res.tryEnd(piece, this.#response.body.length);
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

function writeHead(res: UwsHttpResponse, { status, headers }: HttpResponse): void {
  if (status !== 200) res.writeStatus(toStatusLine(status));
  for (const name in headers) {
    // uWS writes the length itself; two of them would be an invalid message.
    if (name.length !== 14 || name.toLowerCase() !== 'content-length') res.writeHeader(name, headers[name]!);
  }
}

function lengthOf(body: HttpResponse['body']): number {
  if (typeof body === 'string') return Buffer.byteLength(body);
  return body.length;
}
