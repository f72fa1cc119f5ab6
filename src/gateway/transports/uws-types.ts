/**
 * The slice of uWebSockets.js that is used here. The package is optional and ships no types under this name on every
 * platform, so the project must type-check, build and run without it.
 */
export interface Uws {
  App(): UwsApp;
  us_socket_local_port(listenSocket: object): number;
  us_listen_socket_close(listenSocket: object): void;
  /** Without it two apps may silently share one port. */
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number;
}

export interface UwsApp {
  ws<T>(pattern: string, behavior: UwsBehavior<T>): UwsApp;
  get(pattern: string, handler: (res: UwsHttpResponse, req: UwsHttpRequest) => void): UwsApp;
  /** For what has no route of its own. */
  any(pattern: string, handler: (res: UwsHttpResponse, req: UwsHttpRequest) => void): UwsApp;
  /** The callback runs before `listen` returns; `false` is all it says about any failure. */
  listen(
    host: string,
    port: number,
    options: number,
    callback: (listenSocket: object | false) => void,
  ): UwsApp;
  /** Closes the listening socket and every connection at once. */
  close(): UwsApp;
}

export interface UwsBehavior<T> {
  readonly maxPayloadLength: number;
  /** 0: no bound. */
  readonly maxBackpressure: number;
  /** Seconds; 0 or 8 … 960, anything else aborts the process. */
  readonly idleTimeout: number;
  readonly sendPingsAutomatically: boolean;
  upgrade(res: UwsHttpResponse, req: UwsHttpRequest, context: object): void;
  open(ws: UwsSocket<T>): void;
  message(ws: UwsSocket<T>, message: ArrayBuffer, isBinary: boolean): void;
  drain(ws: UwsSocket<T>): void;
  pong(ws: UwsSocket<T>, message: ArrayBuffer): void;
  /** Runs inside `end` and `close` too; from then on every method of the socket throws. */
  close(ws: UwsSocket<T>, code: number, message: ArrayBuffer): void;
}

/** Lives on C++'s stack: gone when the handler returns. */
export interface UwsHttpRequest {
  /** '' when absent. */
  getHeader(lowerCaseName: string): string;
  /** Every header line in order, names in lower case, repeated ones included. */
  forEach(visit: (name: string, value: string) => void): void;
  getCaseSensitiveMethod(): string;
  getUrl(): string;
  getQuery(): string | undefined;
}

export interface UwsHttpResponse {
  writeStatus(status: string): UwsHttpResponse;
  writeHeader(name: string, value: string): UwsHttpResponse;
  end(body?: string | Uint8Array): UwsHttpResponse;
  endWithoutBody(): UwsHttpResponse;
  cork(callback: () => void): UwsHttpResponse;
  onAborted(callback: () => void): UwsHttpResponse;
  onData(callback: (chunk: ArrayBuffer, isLast: boolean) => void): UwsHttpResponse;
  /** Stops reading from the client, and the clock that cuts it after 10 s. */
  pause(): void;
  /** Reads on, and starts that clock anew: never call it once the whole body is there. */
  resume(): void;
  /** One chunk of a body without a length. False: uWS keeps what did not fit, and sends it with the next one or the end. */
  write(piece: Uint8Array): boolean;
  /** Writes what fits; of the rest one is told by `onWritable`. [all was taken, the response is complete and gone] */
  tryEnd(piece: Uint8Array, bodyBytes: number): [boolean, boolean];
  /** `offset` counts the bytes of the body that were taken. The answer says whether all was taken this time. */
  onWritable(callback: (offset: number) => boolean): UwsHttpResponse;
  /** Cuts the connection; the abort handler runs inside. */
  close(): void;
  /** 4 or 16 bytes. */
  getRemoteAddress(): ArrayBuffer;
  /** Calls the `open` handler before it returns. */
  upgrade<T>(userData: T, key: string, protocol: string, extensions: string, context: object): void;
}

export interface UwsSocket<T> {
  getUserData(): T;
  /** 0: buffered, 1: sent, 2: dropped. */
  send(text: string): number;
  ping(payload: string): number;
  getBufferedAmount(): number;
  getRemoteAddress(): ArrayBuffer;
  cork(work: () => void): void;
  end(code: number, reason: string): void;
  close(): void;
}
