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
  /** The same of requests of OpenAI's clients, which bring images along. */
  completionBodyBytes: 16 * 1024 * 1024,
  /** Levels of arrays and objects in a JSON request body. */
  jsonDepth: 64,
  /** Largest note of the vault that is read, written and searched, in bytes. */
  noteBytes: 4 * 1024 * 1024,
  /** Request body that is read as it arrives (an upload), in bytes. */
  uploadBytes: 2 * 1024 * 1024 * 1024,
  /** Files in one upload. */
  uploadFiles: 16,
  /** One uploaded file, in bytes. */
  uploadFileBytes: 2 * 1024 * 1024 * 1024,
  /** Everything under `uploads/`, in bytes. */
  uploadTotalBytes: 20 * 1024 * 1024 * 1024,
  /** Uploads that are taken at once. */
  uploadsAtOnce: 8,
  /** Free space on the disk that an upload leaves to the agent's own files, in bytes. */
  uploadReserveBytes: 256 * 1024 * 1024,
  /** Entries in one answer of `GET /api/logs`. */
  logEntries: 10_000,
  /** Their bytes together. */
  logAnswerBytes: 8 * 1024 * 1024,
  /** Bytes of log files that one such request reads, where few entries match. */
  logScanBytes: 64 * 1024 * 1024,
  /** Clients that follow the log at once. */
  logFollowers: 16,
  /** Log that waits for one of them, in bytes; what is beyond is left out and counted. */
  logFollowBytes: 256 * 1024,
  /** Time without progress after which the client of an upload or a download is cut. */
  stallMs: 10_000,
  /** Undelivered terminal frames kept for one returning client. */
  redeliveriesPerClient: 1_000,
  /** Age up to which a client without `resume` gets an undelivered frame. */
  redeliveryMs: 10 * 60_000,
  /** Times a turn that was running when its agent died is run again before it ends as interrupted. */
  attemptsPerTurn: 3,
  /** Times the model may call tools in one turn. */
  toolSteps: 25,
  /** What a session brings along into a model call, in tokens; what is older is summed up. */
  historyTokens: 32_000,
  /** Programs an agent may have running at once. */
  childProcesses: 32,
  /** Time an MCP server has until it is ready, downloads of its launcher included. */
  mcpConnectMs: 60_000,
  /** Time a call of one of its tools may take without an answer or progress. */
  mcpCallMs: 120_000,
  /** The same with progress. */
  mcpCallTotalMs: 30 * 60_000,
  /** Calls that wait for one MCP server at once. */
  mcpCalls: 64,
  /** Tools taken from one MCP server. */
  mcpTools: 200,
  /** Characters of what it says of a tool. */
  mcpDescriptionChars: 4_000,
  /** Of a tool's schema, in bytes of JSON. */
  mcpSchemaBytes: 32 * 1024,
  /** Of one message of an MCP server, in bytes. */
  mcpMessageBytes: 16 * 1024 * 1024,
  /** Messages an MCP server's program may send in any one second. */
  mcpMessagesPerSecond: 2_000,
  /** Scheduled tasks of the list, of clients and of tools together. */
  scheduledTasks: 1_000,
  /** Past runs that are kept of each task. */
  taskRuns: 100,
  /** Times that went by and are made up for where `missed` is `all`; the oldest ones are left out. */
  missedRuns: 100,
  /** Characters of a client_id, session_id or message id. */
  idChars: 256,
} as const satisfies Record<string, number>;

export type Limits = { readonly [K in keyof typeof DEFAULT_LIMITS]: number };

/** `waitingPerSession` → `waiting_per_session`: how a limit is called in the file and on the wire. */
export function limitKey(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
