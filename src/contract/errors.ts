/**
 * Every failure a caller can see, in one table: its HTTP status, and whether the same request may succeed later.
 * Adding a row is the only way to create a code; `docs/errors.md` is checked against this table by a test.
 */
export const ERRORS = {
  // Requests
  'request.invalid': { status: 400, retryable: false },
  'request.bad_json': { status: 400, retryable: false },
  'frame.invalid': { status: 400, retryable: false },
  'frame.too_large': { status: 413, retryable: false },
  'frame.rate_limited': { status: 429, retryable: true },
  'auth.required': { status: 401, retryable: false },
  'auth.invalid': { status: 401, retryable: false },
  'auth.rate_limited': { status: 429, retryable: true },
  'access.host': { status: 421, retryable: false },
  'access.origin': { status: 403, retryable: false },
  'access.cross_site': { status: 403, retryable: false },
  'route.not_found': { status: 404, retryable: false },
  'completion.not_found': { status: 404, retryable: false },
  'method.not_allowed': { status: 405, retryable: false },
  'message.id_reused': { status: 409, retryable: false },
  'body.too_large': { status: 413, retryable: false },
  'upload.invalid': { status: 400, retryable: false },
  'upload.too_large': { status: 413, retryable: false },
  'upload.busy': { status: 503, retryable: true },
  'file.not_found': { status: 404, retryable: false },
  'file.refused': { status: 403, retryable: false },
  'file.gone': { status: 410, retryable: false },
  'range.unsatisfiable': { status: 416, retryable: false },
  'logs.full': { status: 503, retryable: true },
  'content_type.unsupported': { status: 415, retryable: false },
  'content_encoding.unsupported': { status: 415, retryable: false },
  'upgrade.required': { status: 426, retryable: false },
  'update.unavailable': { status: 501, retryable: false },
  // The vault
  'vault.path_invalid': { status: 400, retryable: false },
  'vault.not_found': { status: 404, retryable: false },
  'vault.exists': { status: 409, retryable: false },
  'vault.conflict': { status: 409, retryable: false },
  'vault.not_empty': { status: 409, retryable: false },
  'vault.too_large': { status: 413, retryable: false },
  'vault.not_text': { status: 422, retryable: false },
  'vault.unavailable': { status: 503, retryable: true },
  // Only ever a warning: the vault is looked through now and then
  'vault.unwatched': { status: 503, retryable: true },
  // Load and life cycle
  'queue.session_full': { status: 429, retryable: true },
  'queue.client_full': { status: 429, retryable: true },
  'queue.agent_full': { status: 429, retryable: true },
  'sockets.full': { status: 503, retryable: true },
  'child.limit': { status: 503, retryable: true },
  'agent.starting': { status: 503, retryable: true },
  'agent.stopping': { status: 503, retryable: true },
  'storage.unavailable': { status: 503, retryable: true },
  'host.unavailable': { status: 503, retryable: true },
  // How a turn can end other than well
  'session.not_found': { status: 404, retryable: false },
  'turn.cancelled': { status: 499, retryable: true },
  'turn.interrupted': { status: 500, retryable: true },
  'turn.dropped': { status: 499, retryable: true },
  'turn.too_many_steps': { status: 500, retryable: true },
  'model.unavailable': { status: 501, retryable: false },
  'model.failed': { status: 502, retryable: true },
  // What a model provider can answer
  'model.unknown': { status: 404, retryable: false },
  'model.unconfigured': { status: 422, retryable: false },
  'model.auth': { status: 502, retryable: false },
  'model.quota': { status: 502, retryable: false },
  'model.rejected': { status: 502, retryable: false },
  'model.rate_limited': { status: 429, retryable: true },
  'model.overloaded': { status: 503, retryable: true },
  'model.context_too_long': { status: 422, retryable: false },
  'model.content_filter': { status: 422, retryable: false },
  'model.network': { status: 502, retryable: true },
  'model.garbage': { status: 502, retryable: true },
  'model.timeout': { status: 504, retryable: true },
  'model.empty': { status: 502, retryable: true },
  // MCP servers and their tools
  'mcp.not_found': { status: 404, retryable: false },
  'mcp.exists': { status: 409, retryable: false },
  'mcp.built_in': { status: 400, retryable: false },
  'mcp.unavailable': { status: 503, retryable: true },
  'mcp.timeout': { status: 504, retryable: true },
  'mcp.lost': { status: 502, retryable: true },
  // Tools, and what they reach
  'tool.unknown': { status: 404, retryable: false },
  'tool.input_invalid': { status: 422, retryable: false },
  'tool.denied': { status: 403, retryable: false },
  'tool.timeout': { status: 504, retryable: true },
  'tool.failed': { status: 502, retryable: true },
  'approval.not_found': { status: 404, retryable: false },
  'egress.blocked': { status: 403, retryable: false },
  'egress.failed': { status: 502, retryable: true },
  // Money, and providers as they stand in the configuration
  'budget.exceeded': { status: 402, retryable: false },
  // Only ever a warning: half of a budget is spent, most of it, all of it
  'budget.reached': { status: 402, retryable: false },
  'provider.not_found': { status: 404, retryable: false },
  // Scheduled tasks
  'task.not_found': { status: 404, retryable: false },
  'task.invalid': { status: 400, retryable: false },
  'task.built_in': { status: 403, retryable: false },
  'task.from_config': { status: 409, retryable: false },
  'task.limit': { status: 409, retryable: false },
  'task.running': { status: 409, retryable: true },
  'scheduler.disabled': { status: 503, retryable: false },
  // Why an agent does not start
  'config.invalid': { status: 422, retryable: false },
  'config.variable_missing': { status: 422, retryable: false },
  'config.unreadable': { status: 500, retryable: false },
  'config.conflict': { status: 409, retryable: false },
  'config.linked': { status: 409, retryable: false },
  'config.version_unknown': { status: 404, retryable: false },
  // Only ever a warning: an unknown key, a key given twice, a setting without effect
  'config.doubtful': { status: 422, retryable: false },
  'directory.not_agent': { status: 422, retryable: false },
  'directory.unwritable': { status: 500, retryable: false },
  'directory.duplicate': { status: 409, retryable: false },
  'directory.locked': { status: 409, retryable: true },
  'agent.id_duplicate': { status: 409, retryable: false },
  'agent.not_found': { status: 404, retryable: false },
  'agent.action_refused': { status: 409, retryable: false },
  'incident.not_found': { status: 404, retryable: false },
  // What commands on a running fleet find in place of it
  'fleet.not_found': { status: 404, retryable: true },
  'fleet.ambiguous': { status: 409, retryable: false },
  'fleet.lost': { status: 503, retryable: true },
  'fleet.answer_invalid': { status: 502, retryable: false },
  'agent.start_timeout': { status: 504, retryable: true },
  'agent.crashed': { status: 500, retryable: true },
  'agent.exited': { status: 500, retryable: true },
  'agent.hung': { status: 500, retryable: true },
  'agent.memory': { status: 500, retryable: true },
  'bind.public_without_token': { status: 422, retryable: false },
  'bind.host_unknown': { status: 422, retryable: false },
  'bind.port_invalid': { status: 422, retryable: false },
  'bind.no_free_port': { status: 503, retryable: true },
  'bind.failed': { status: 500, retryable: false },
  'storage.locked': { status: 503, retryable: true },
  'storage.corrupt': { status: 500, retryable: false },
  'storage.full': { status: 507, retryable: true },
  'storage.version': { status: 500, retryable: false },
  // Backups, told on the command line
  'backup.refused': { status: 409, retryable: false },
  'backup.failed': { status: 500, retryable: true },
  'backup.invalid': { status: 422, retryable: false },
  'transport.unavailable': { status: 500, retryable: false },
  'worker.protocol': { status: 500, retryable: false },
  'bridge.invalid': { status: 422, retryable: false },
  internal: { status: 500, retryable: false },
} as const satisfies Record<string, { status: number; retryable: boolean }>;

export type ErrorCode = keyof typeof ERRORS;

/** The shape an error has when it crosses a thread, a process or a log line. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: unknown;
}

/**
 * A failure we foresaw. Anything else that is thrown is a defect: logged with its stack, and `internal` to the caller.
 */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly details: unknown;

  constructor(code: ErrorCode, message: string, options: { details?: unknown; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  /** By shape, so that it holds across two copies of this module (bundle and test). */
  static is(value: unknown): value is AppError {
    return value instanceof Error && value.name === 'AppError' && 'code' in value;
  }

  /** The message of a defect stays inside: callers get the code, the log gets the stack. */
  static toWire(error: unknown): WireError {
    if (!AppError.is(error)) return { code: 'internal', message: 'Internal error' };
    return error.details === undefined
      ? { code: error.code, message: error.message }
      : { code: error.code, message: error.message, details: error.details };
  }

  static fromWire(wire: WireError): AppError {
    return new AppError(wire.code, wire.message, { details: wire.details });
  }
}
