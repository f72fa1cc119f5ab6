/** Every bound the fleet gateway keeps. Nobody has to set them: the clients are one operator's. Free of zod. */
export const FLEET_LIMITS = {
  /** Open WebSockets, over the unix socket and TCP together. */
  sockets: 32,
  /** Connections of all kinds to each of the two listeners. */
  connections: 256,
  /** Largest frame a client may send, in bytes: room for a thousand ids. */
  frameBytes: 512 * 1024,
  /** Frames a client may send in any one second, and their bytes. */
  framesPerSecond: 50,
  frameBytesPerSecond: 1024 * 1024,
  /** Bytes waiting to be read by a slow client before its socket is cut with 1013. */
  bufferedBytes: 4 * 1024 * 1024,
  /** Above this log entries are left out and counted; more than one look brings, so that a burst is no reason. */
  followBytes: 2 * 1024 * 1024,
  /** Time without progress after which a client that has entries waiting, or sends or takes a body, is cut. */
  stallMs: 10_000,
  /** JSON request body, in bytes, and its levels of arrays and objects. */
  bodyBytes: 64 * 1024,
  jsonDepth: 8,
  /** Wrong tokens one peer may send within a minute before it is answered 429. */
  authFailuresPerMinute: 10,
  /** Events that are kept. */
  events: 1_000,
  /** Entries in one answer of `GET /api/logs`, their bytes together, and bytes of log files read for it. */
  logEntries: 10_000,
  logAnswerBytes: 8 * 1024 * 1024,
  logScanBytes: 64 * 1024 * 1024,
  /** Such requests that read at once, and that wait for it; further ones are answered 503. */
  logReads: 2,
  logReadsWaiting: 16,
  /** Bytes of a followed log taken in at one look; the rest follows at the next one. */
  tailBytes: 1024 * 1024,
  /** Time between two looks. */
  tailMs: 250,
  /** Longest line of a log that is an entry, in bytes. */
  tailLineBytes: 1024 * 1024,
  /** Largest incident that is handed out, in bytes. */
  incidentBytes: 4 * 1024 * 1024,
} as const satisfies Record<string, number>;

export type FleetLimits = { readonly [K in keyof typeof FLEET_LIMITS]: number };
