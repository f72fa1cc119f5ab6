/** One WebSocket of `ws`, with the bounds and the order of closing that the seam promises. */
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import type { Peer, PeerListener, TransportLimits } from '../transport.ts';
import { CLOSE_ANSWER_MS, toAddressText, toCloseReason } from './rules.ts';

/** Why `ws` gave up on what a peer sent; the close event of such a socket says 1006 only. */
const CUT_CODES: Readonly<Record<string, number>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
  WS_ERR_INVALID_UTF8: 1007,
};

export class NodePeer implements Peer {
  readonly remoteAddress: string;
  readonly #ws: WebSocket;
  readonly #socket: Duplex;
  readonly #limits: TransportLimits;
  #isOpen = true;
  #isForgotten = false;
  #isAlive = true;
  #cutCode: number | undefined;
  #cutTimer: NodeJS.Timeout | undefined;

  constructor(ws: WebSocket, socket: Duplex, limits: TransportLimits) {
    this.#ws = ws;
    this.#socket = socket;
    this.#limits = limits;
    const address = 'remoteAddress' in socket ? socket.remoteAddress : undefined;
    this.remoteAddress = toAddressText(typeof address === 'string' ? address : undefined);
  }

  open(accept: (peer: Peer) => PeerListener): void {
    const ws = this.#ws;
    // Before `accept`, which may cut the socket: an error without a listener would end the thread.
    ws.on('error', (error: NodeJS.ErrnoException) => {
      this.#cutCode ??= CUT_CODES[error.code ?? ''];
    });
    const listener = accept(this);
    ws.on('message', (data, isBinary) => this.#receive(listener, data, isBinary));
    ws.on('pong', () => {
      this.#isAlive = true;
    });
    ws.on('close', (code) => {
      this.#isOpen = false;
      clearTimeout(this.#cutTimer);
      if (this.#isForgotten) return;
      // A frame that broke the protocol is answered with a close frame, yet there was no handshake with its sender.
      if (this.#cutCode !== undefined) listener.onClose(this.#cutCode, false);
      else listener.onClose(code, code !== 1006);
    });
  }

  /** Resolves after the listener was told. */
  whenGone(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ws.readyState === this.#ws.CLOSED) resolve();
      else this.#ws.once('close', () => resolve());
    });
  }

  /** Called at half the time a socket may be silent. */
  checkAlive(): void {
    if (!this.#isAlive) {
      this.terminate();
      return;
    }
    this.#isAlive = false;
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping();
  }

  /** From here on nobody is told anything. */
  forget(): void {
    this.#isForgotten = true;
  }

  send(text: string): 'sent' | 'buffered' | 'dropped' {
    const ws = this.#ws;
    if (!this.#isOpen || ws.readyState !== ws.OPEN) return 'dropped';
    if (ws.bufferedAmount > this.#limits.bufferedBytes) return 'dropped';
    ws.send(text);
    return ws.bufferedAmount === 0 ? 'sent' : 'buffered';
  }

  bufferedBytes(): number {
    return this.#ws.bufferedAmount;
  }

  cork(work: () => void): void {
    this.#socket.cork();
    try {
      work();
    } finally {
      this.#socket.uncork();
    }
  }

  close(code: number, reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#cutTimer = setTimeout(() => this.#ws.terminate(), CLOSE_ANSWER_MS);
    this.#ws.close(code, toCloseReason(reason));
  }

  terminate(): void {
    this.#isOpen = false;
    this.#ws.terminate();
  }

  #receive(listener: PeerListener, data: RawData, isBinary: boolean): void {
    this.#isAlive = true;
    if (!this.#isOpen) return;
    if (isBinary) listener.onBinary(byteCount(data));
    else listener.onText(data.toString());
  }
}

function byteCount(data: RawData): number {
  if (Array.isArray(data)) return data.reduce((sum, part) => sum + part.byteLength, 0);
  return data.byteLength;
}
