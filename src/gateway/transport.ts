/**
 * The seam between the gateway and a socket library. An adapter knows about bytes, backpressure and its library's
 * memory rules; it knows nothing of routes, frames, access rules or agents. Plain records cross it, so that the hot
 * path allocates little and tests need no socket.
 */
import type { ByteStream } from '../contract/route.ts';
import type { TransportKind } from '../contract/worker-protocol.ts';

/** One request, or one WebSocket upgrade. Absent headers are ''. Valid only until the handler returns (uWS). */
export interface HttpRequest {
  /** Upper case. */
  readonly method: string;
  /** As sent, still percent-encoded, without the query. */
  readonly path: string;
  /** Without the `?`. */
  readonly query: string;
  readonly host: string;
  readonly origin: string;
  readonly authorization: string;
  readonly contentType: string;
  readonly secFetchSite: string;
  readonly isUpgrade: boolean;
  /** The peer's IP address as text, e.g. `127.0.0.1` or `::1`. */
  remoteAddress(): string;
  /** Any header by its name in lower case; of a repeated one at least the first. */
  header(name: string): string;
  /**
   * The whole body. Must be called before the handler returns, or not at all (the adapter then discards the body).
   * Rejects with `body.too_large` as soon as more than `bytesMax` arrived or were announced.
   */
  readBody(bytesMax: number): Promise<Buffer>;
  /**
   * The body as it arrives; the client waits while nobody reads. Same rule of when to call it. Read once, by one
   * reader; each chunk is valid until the next one is asked for. Its loop throws `body.too_large` as `readBody` does, and when the client goes away
   * or stalls; leaving it early drops the rest.
   */
  stream(bytesMax: number): ByteStream;
  /**
   * The client went away, or was cut, before it had its whole answer; told at once where that has happened already. May
   * be called at any time, but hears nothing of a request that is answered before its handler returns.
   */
  onGone(listener: () => void): void;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | StreamedBody;
}

/**
 * A body that is made while it is sent, no faster than the client reads. `open` is called once and only when bytes are
 * really owed; the stream's `return` is called when it is no longer wanted. One that fails or ends before `length` cuts
 * the connection, and tells whoever made it by itself. Without `length` it goes out in chunks (a stream of events, whose
 * end nobody knows), and no chunk waits for the next one.
 */
export interface StreamedBody {
  readonly length: number | undefined;
  open(): ByteStream;
}

export type UpgradeDecision =
  | { readonly accept: (peer: Peer) => PeerListener }
  | { readonly refuse: HttpResponse };

/** What a transport drives. Every method is called on the transport's thread; none may throw. */
export interface TransportApp {
  handle(request: HttpRequest): HttpResponse | Promise<HttpResponse>;
  /** Synchronous: uWS frees the request when its handler returns. */
  upgrade(request: HttpRequest): UpgradeDecision;
}

export interface PeerListener {
  /** A whole text frame. */
  onText(text: string): void;
  /** A binary frame; its content is not of interest. */
  onBinary(byteCount: number): void;
  /** Called once, last. `clean`: a closing handshake took place; 1006 is never clean. */
  onClose(code: number, clean: boolean): void;
}

/** One open WebSocket. All methods are harmless after it has closed. */
export interface Peer {
  readonly remoteAddress: string;
  /** `dropped`: the frame was not taken because more than `bufferedBytes` wait already, or the socket is gone. */
  send(text: string): 'sent' | 'buffered' | 'dropped';
  bufferedBytes(): number;
  /** Groups what `work` sends into one write where the library can. */
  cork(work: () => void): void;
  /** Sends a close frame after what is buffered; a peer that does not answer within a second is cut. */
  close(code: number, reason: string): void;
  /** Drops the connection at once, unread data included. */
  terminate(): void;
}

export interface TransportLimits {
  readonly frameBytes: number;
  readonly bufferedBytes: number;
  /** Time without progress after which the client of an upload or a download is cut; uWS may be sooner, after 10 s. */
  readonly stallMs: number;
}

export interface Transport {
  readonly kind: TransportKind;
  /**
   * False for uWS: `worker.terminate()` on a thread that still holds its handles aborts the whole process
   * (uNetworking/uWebSockets.js#925).
   */
  readonly survivesTerminate: boolean;
  /**
   * Binds exclusively: resolves with the port really bound, or with `taken` when somebody listens there. Port 0 picks
   * a free one. The caller has already checked that host and port are sensible.
   */
  listen(address: { readonly host: string; readonly port: number }): Promise<{ port: number } | 'taken'>;
  /** Refuses new connections; open ones live on. Idempotent. */
  stopListening(): void;
  /**
   * Closes every socket with `code` (what is buffered goes out first), waits at most `graceMs` for their closing
   * handshakes, cuts the rest, frees every handle. Idempotent.
   */
  close(code: number, reason: string, graceMs: number): Promise<void>;
  /** Frees every handle at once; for the thread's exit hook, where nothing can be awaited. */
  closeNow(): void;
}

export type TransportFactory = (app: TransportApp, limits: TransportLimits) => Transport;
