/** Every bound a running agent keeps, with its default. `openagent.yaml` may set each under `limits:`. */
export const DEFAULT_LIMITS = {
  /** Turns waiting in one session, the running one not counted (the reference's number). */
  waitingPerSession: 20,
  /** Turns waiting or running for one client id. */
  waitingPerClient: 200,
  /** Turns waiting or running in the whole agent. */
  waitingPerAgent: 2_000,
  /** Text of those turns together, in bytes: a slow model must not fill the memory. */
  waitingBytesPerAgent: 64 * 1024 * 1024,
  /** Model calls an agent makes at once. */
  concurrentModelCalls: 16,
  /** Open WebSockets per agent. */
  sockets: 1_000,
  /** Of these, sockets that have not authenticated yet, where a token is set. */
  socketsBeforeAuth: 100,
  /** Largest WebSocket frame a client may send, in bytes. */
  frameBytes: 4 * 1024 * 1024,
  /** The same before the socket has authenticated. */
  frameBytesBeforeAuth: 64 * 1024,
  /** Frames a socket may send in any one second. */
  framesPerSecond: 2_000,
  /** Bytes a socket may send in any one second. */
  frameBytesPerSecond: 8 * 1024 * 1024,
  /** Bytes waiting to be read by a slow client before its socket is cut with 1013. */
  bufferedBytes: 1024 * 1024,
  /** Time a socket has to authenticate where a token is set. */
  authTimeoutMs: 15_000,
  /** Failed authentications one peer may make within a minute before it is answered 429. */
  authFailuresPerMinute: 10,
  /** JSON request body, in bytes. */
  bodyBytes: 1024 * 1024,
  /** Undelivered terminal frames kept for one returning client. */
  redeliveriesPerClient: 1_000,
  /** Age up to which a client without `resume` gets an undelivered frame. */
  redeliveryMs: 10 * 60_000,
  /** Times a turn that was running when its agent died is run again before it ends as interrupted. */
  attemptsPerTurn: 3,
  /** Programs an agent may have running at once. */
  childProcesses: 32,
  /** Characters of a client_id, session_id or message id. */
  idChars: 256,
} as const satisfies Record<string, number>;

export type Limits = { readonly [K in keyof typeof DEFAULT_LIMITS]: number };

/** `waitingPerSession` → `waiting_per_session`: how a limit is called in the file and on the wire. */
export function limitKey(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
