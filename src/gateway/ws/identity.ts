/**
 * A client id in use on a connection: where its turns send their frames, and which terminal frames are under way. A
 * frame counts as delivered when the transport's buffer was seen empty and the socket was still there at the next look
 * a second later, or when the socket closed with a proper handshake (which travels behind the frame).
 */
import type { ClientKey } from '../../contract/client-key.ts';
import type { Outlet } from './turn-service.ts';

export interface Wire {
  isOpen(): boolean;
  /** False: the transport did not take it, and the socket is being cut. */
  send(frame: string): boolean;
  /** Asks for a look at what is under way, about once a second. */
  watch(): void;
}

export class Identity implements Outlet {
  readonly client: ClientKey;
  wantsDeltas = false;
  wantsTools = false;
  wantsResume = false;
  readonly #wire: Wire;
  #underWay: number[] = [];
  #seenDrained: number[] = [];
  #lost: number[] = [];

  constructor(client: ClientKey, wire: Wire) {
    this.client = client;
    this.#wire = wire;
  }

  isOpen(): boolean {
    return this.#wire.isOpen();
  }

  send(frame: string): void {
    this.#wire.send(frame);
  }

  sendTerminal(rowId: number, frame: string): void {
    const isTaken = this.#wire.send(frame);
    // Nobody can come back for an unnamed client's frames.
    if (!this.client.isNamed) return;
    if (!isTaken) this.#lost.push(rowId);
    else {
      this.#underWay.push(rowId);
      this.#wire.watch();
    }
  }

  hasUnderWay(): boolean {
    return this.#underWay.length > 0 || this.#seenDrained.length > 0;
  }

  /** The transport's buffer is empty now: what was under way at the last such look has arrived. */
  takeDelivered(): readonly number[] {
    const delivered = this.#seenDrained;
    this.#seenDrained = this.#underWay;
    this.#underWay = [];
    return delivered;
  }

  /** The socket has closed: what arrived, and what may not have. */
  settle(clean: boolean): { delivered: readonly number[]; undelivered: readonly number[] } {
    const open = [...this.#seenDrained, ...this.#underWay];
    this.#seenDrained = [];
    this.#underWay = [];
    const lost = this.#lost;
    this.#lost = [];
    return clean
      ? { delivered: open, undelivered: lost }
      : { delivered: [], undelivered: [...open, ...lost] };
  }
}
