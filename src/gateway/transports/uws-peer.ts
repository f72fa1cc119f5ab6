/**
 * One WebSocket of uWS. It owns the closing handshake, because uWS has none to wait for: `end` reports the socket
 * closed at once and tells nobody whether the peer ever read what was sent, nor lets anybody cut it afterwards. So a
 * close first sends a ping behind everything that is buffered. Its pong proves that the peer has read all of it, then
 * the close frame goes out; without a pong in time the socket is cut. Otherwise a frame lost in a dead connection
 * would count as delivered.
 */
import type { Peer, PeerListener, TransportLimits } from '../transport.ts';
import { CLOSE_ANSWER_MS, toCloseReason } from './rules.ts';
import { fromAddressBytes } from './uws-request.ts';
import type { UwsSocket } from './uws-types.ts';

const CLOSE_PROBE = 'closing';
/** What uWS says in place of a close frame; the client sees 1006, the app learns why. */
const CUT_CODES: Readonly<Record<string, number>> = {
  'Received too big message': 1009,
  'Received invalid UTF-8': 1007,
};

export class UwsPeer implements Peer {
  remoteAddress = '';
  readonly #accept: (peer: Peer) => PeerListener;
  readonly #limits: TransportLimits;
  #state: 'opening' | 'open' | 'closing' | 'closed' = 'opening';
  #ws: UwsSocket<unknown> | undefined;
  #listener: PeerListener | undefined;
  /** True from the first frame that did not go out at once until everything has: spares a native call per send. */
  #isBackedUp = false;
  #closeWith: { readonly code: number; readonly reason: string } | undefined;
  #closedWith: { readonly code: number; readonly isClean: boolean } | undefined;
  #cutTimer: NodeJS.Timeout | undefined;

  constructor(accept: (peer: Peer) => PeerListener, limits: TransportLimits) {
    this.#accept = accept;
    this.#limits = limits;
  }

  open(ws: UwsSocket<unknown>): void {
    this.#ws = ws;
    this.#state = 'open';
    this.remoteAddress = fromAddressBytes(ws.getRemoteAddress());
    this.#listener = this.#accept(this);
    // `accept` may have cut the socket before its listener existed.
    if (this.#closedWith) this.#listener.onClose(this.#closedWith.code, this.#closedWith.isClean);
  }

  receive(message: ArrayBuffer, isBinary: boolean): void {
    if (this.#state !== 'open') return;
    if (message.byteLength > this.#limits.frameBytes) this.close(1009, 'Frame too large');
    else if (isBinary) this.#listener?.onBinary(message.byteLength);
    // Decoding copies; uWS has checked that it is UTF-8 and empties the ArrayBuffer after this callback.
    else this.#listener?.onText(Buffer.from(message).toString());
  }

  drained(): void {
    if (this.#ws && this.#ws.getBufferedAmount() === 0) this.#isBackedUp = false;
  }

  ponged(payload: ArrayBuffer): void {
    // uWS's own pings carry nothing.
    if (!this.#closeWith || Buffer.from(payload).toString() !== CLOSE_PROBE) return;
    this.#ws?.end(this.#closeWith.code, this.#closeWith.reason);
  }

  closed(code: number, message: ArrayBuffer): void {
    if (this.#state === 'closed') return;
    this.forget();
    const isClean = code !== 1006;
    const cutCode = isClean ? undefined : CUT_CODES[Buffer.from(message).toString()];
    this.#closedWith = { code: cutCode ?? code, isClean };
    this.#listener?.onClose(this.#closedWith.code, isClean);
  }

  /** From here on the socket is not touched and nobody is told anything. */
  forget(): void {
    this.#state = 'closed';
    this.#ws = undefined;
    clearTimeout(this.#cutTimer);
  }

  send(text: string): 'sent' | 'buffered' | 'dropped' {
    const ws = this.#ws;
    if (this.#state !== 'open' || !ws) return 'dropped';
    if (this.#isBackedUp && ws.getBufferedAmount() > this.#limits.bufferedBytes) return 'dropped';
    const status = ws.send(text);
    if (status === 1) return 'sent';
    if (status !== 0) return 'dropped';
    this.#isBackedUp = true;
    return 'buffered';
  }

  bufferedBytes(): number {
    return this.#ws?.getBufferedAmount() ?? 0;
  }

  cork(work: () => void): void {
    if (this.#ws) this.#ws.cork(work);
    else work();
  }

  close(code: number, reason: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#closeWith = { code, reason: toCloseReason(reason) };
    this.#cutTimer = setTimeout(() => this.terminate(), CLOSE_ANSWER_MS);
    this.#ws?.ping(CLOSE_PROBE);
  }

  terminate(): void {
    this.#ws?.close();
  }
}
