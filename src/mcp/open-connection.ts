/**
 * Makes a connection to an MCP server with the official SDK. What the SDK is not asked to do: start programs, keep
 * schemas, check answers against them (a schema is text of a stranger, and compiling it takes as long as that one
 * likes), and wait for ever.
 */
import {
  Client,
  type JsonSchemaValidatorResult,
  type jsonSchemaValidator,
  ProtocolError,
  SdkError,
  type StandardSchemaV1,
} from '@modelcontextprotocol/client';
import { AppError } from '../contract/errors.ts';
import type { ToolResult } from '../tools/tool.ts';
import type { CallOptions, ConnectionOptions, McpConnection, ToolList } from './connection.ts';
import { createHttpWire, type Wire } from './http-transport.ts';
import { ProgramTransport } from './program-transport.ts';
import { isRecord, readToolList } from './tool-list.ts';
import { toToolResult } from './tool-result.ts';

/** A server that lets a call run out has this long to show that it lives. */
const PROBE_MS = 5_000;
/** Several changes of the list are read as one. */
const CHANGED_MS = 200;
const CLOSE_MS = 2_000;
const PROGRESS_CHARS_MAX = 500;
/** An old server of the SSE kind answers so to the first request of the new kind. */
const NOT_STREAMABLE = [400, 404, 405];

/** What a server answers that speaks only the protocol of 2026. */
const UNSUPPORTED_VERSION = -32022;

/** Results are read by us, field by field. */
const AS_IT_IS: StandardSchemaV1<unknown, unknown> = {
  '~standard': { version: 1, vendor: 'openagent', validate: (value) => ({ value }) },
};
const NO_VALIDATION: jsonSchemaValidator = {
  getValidator:
    <T>() =>
    (input: unknown): JsonSchemaValidatorResult<T> => ({
      valid: true,
      data: input as T,
      errorMessage: undefined,
    }),
};

export async function openConnection(
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<McpConnection> {
  const { target } = options;
  if (target.transport !== 'auto') return connectInAnyEra(options, target.transport, signal);
  try {
    return await connectInAnyEra(options, 'http', signal);
  } catch (error) {
    if (signal.aborted || !NOT_STREAMABLE.includes(statusOf(error) ?? 0)) throw error;
    return await connect(options, 'sse', signal, 'legacy');
  }
}

/** The protocol began anew in 2026: most servers speak the older one too, or only that; a few refuse it. */
async function connectInAnyEra(
  options: ConnectionOptions,
  kind: Wire['kind'],
  signal: AbortSignal,
): Promise<McpConnection> {
  try {
    return await connect(options, kind, signal, 'legacy');
  } catch (error) {
    const isRefused = codeOf(error) === UNSUPPORTED_VERSION || (kind === 'http' && statusOf(error) === 400);
    if (signal.aborted || !isRefused) throw error;
    return await connect(options, kind, signal, 'auto');
  }
}

async function connect(
  options: ConnectionOptions,
  kind: Wire['kind'],
  signal: AbortSignal,
  era: 'legacy' | 'auto',
): Promise<McpConnection> {
  const wire = createWire(options, kind);
  const connection = new SdkConnection(options, wire, era);
  try {
    await connection.open(signal);
    signal.throwIfAborted();
    return connection;
  } catch (error) {
    const words = wire.lastWords();
    // Known before its end has come: nobody shall wait for one that does not want to end.
    void connection.close(signal.aborted ? 0 : CLOSE_MS);
    const reason = wire.failure() ?? (error instanceof Error ? error : new Error(String(error)));
    throw withWords(reason, words);
  }
}

function createWire({ target, ...options }: ConnectionOptions, kind: Wire['kind']): Wire {
  if (target.transport === 'stdio') {
    const transport = new ProgramTransport({ ...options, command: target.command, env: target.env });
    return {
      kind: 'stdio',
      transport,
      failure: () => transport.failure,
      lastWords: () => transport.lastWords(),
      end: (deadlineMs) => transport.end(deadlineMs),
    };
  }
  const { url, headers } = target;
  const { clock, bounds } = options;
  const { messageBytes } = bounds;
  return createHttpWire({
    transport: kind === 'sse' ? 'sse' : 'http',
    url,
    headers,
    messageBytes,
    clock,
  });
}

class SdkConnection implements McpConnection {
  onList: (() => void) | undefined;
  readonly lost: Promise<Error>;
  readonly #options: ConnectionOptions;
  readonly #wire: Wire;
  readonly #client: Client;
  #list: ToolList = { tools: [], problems: [] };
  #lose: (reason: Error) => void = () => {};
  #calls = 0;
  #isOpen = false;
  #isClosed = false;
  #isProbing = false;
  #refresh: unknown;

  constructor(options: ConnectionOptions, wire: Wire, era: 'legacy' | 'auto') {
    this.#options = options;
    this.#wire = wire;
    this.lost = new Promise((resolve) => {
      this.#lose = (reason) => resolve(withWords(reason, wire.lastWords()));
    });
    this.#client = new Client(
      { name: 'openagent-supervisor', version: options.version },
      {
        capabilities: {},
        jsonSchemaValidator: NO_VALIDATION,
        versionNegotiation: { mode: era },
        listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => this.#changed() } },
      },
    );
  }

  get transport(): Wire['kind'] {
    return this.#wire.kind;
  }

  async open(signal: AbortSignal): Promise<void> {
    const client = this.#client;
    client.onclose = () => this.#lose(this.#wire.failure() ?? new Error('its connection was closed'));
    client.onerror = (error) => this.#trouble(error);
    const timeout = this.#options.bounds.connectMs;
    await client.connect(this.#wire.transport, { signal, timeout });
    this.#list = await this.#read(signal);
    this.#isOpen = true;
  }

  list(): ToolList {
    return this.#list;
  }

  async call(
    tool: string,
    args: Readonly<Record<string, unknown>>,
    { signal, report }: CallOptions,
  ): Promise<ToolResult> {
    signal.throwIfAborted();
    const { name, bounds } = this.#options;
    if (this.#calls >= bounds.calls) {
      const message = `${bounds.calls} calls wait for the MCP server ${name} already (limits.mcp_calls); try again later`;
      throw new AppError('mcp.unavailable', message);
    }
    this.#calls += 1;
    try {
      const answer = await this.#client.request(
        { method: 'tools/call', params: { name: tool, arguments: { ...args } } },
        AS_IT_IS,
        {
          signal,
          timeout: bounds.callMs,
          maxTotalTimeout: bounds.callTotalMs,
          resetTimeoutOnProgress: true,
          onprogress: (progress) => report(toProgressText(progress)),
        },
      );
      return toToolResult(answer, bounds.outputChars);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      return this.#failed(tool, error);
    } finally {
      this.#calls -= 1;
    }
  }

  async close(deadlineMs: number): Promise<void> {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#refresh);
    await this.#wire.end(deadlineMs).catch((error: unknown) => {
      this.#options.log.debug('mcp.close_failed', { name: this.#options.name, error: String(error) });
    });
  }

  /** What the server itself says is a result; what stands between it and us is an error. */
  #failed(tool: string, error: unknown): ToolResult {
    const { name, bounds } = this.#options;
    if (ProtocolError.isInstance(error)) return { text: error.message, isError: true };
    const code = SdkError.isInstance(error) ? String(error.code) : undefined;
    if (code === 'REQUEST_TIMEOUT') {
      this.#probe();
      const message = `${tool} of the MCP server ${name} did not answer within ${bounds.callMs} ms; what it did is not known`;
      throw new AppError('mcp.timeout', message);
    }
    // A RangeError: nested deeper than a stack holds.
    if (code === 'INVALID_RESULT' || code === 'UNSUPPORTED_RESULT_TYPE' || error instanceof RangeError) {
      return { text: `The answer of ${tool} cannot be read`, isError: true };
    }
    const reason = this.#wire.failure() ?? (error instanceof Error ? error : new Error(String(error)));
    this.#lose(reason);
    const message = `The MCP server ${name} was lost during ${tool}: ${messageOf(reason)}; what it did is not known`;
    throw new AppError('mcp.lost', message);
  }

  async #read(signal?: AbortSignal): Promise<ToolList> {
    const { bounds } = this.#options;
    if (this.#client.getServerCapabilities()?.tools === undefined) {
      return { tools: [], problems: ['it says that it has no tools'] };
    }
    const timeout = bounds.connectMs;
    return readToolList(
      (cursor) =>
        this.#client.request(
          { method: 'tools/list', ...(cursor === undefined ? {} : { params: { cursor } }) },
          AS_IT_IS,
          signal ? { signal, timeout } : { timeout },
        ),
      bounds,
    );
  }

  /** Not sooner than a moment after the last reading: a server may say it as often as it likes. */
  #changed(): void {
    if (this.#refresh !== undefined || this.#isClosed) return;
    this.#refresh = this.#options.clock.setTimeout(() => {
      this.#read()
        .then((list) => {
          this.#list = list;
          this.onList?.();
        })
        .catch((error: unknown) => {
          const { log, name } = this.#options;
          log.warn('mcp.list_failed', { name, error: messageOf(error) });
        })
        .finally(() => {
          this.#refresh = undefined;
        });
    }, CHANGED_MS);
  }

  #trouble(error: Error): void {
    const { log, name } = this.#options;
    log.debug('mcp.trouble', { name, error: messageOf(error).slice(0, PROGRESS_CHARS_MAX) });
    if (!this.#isOpen || this.#isClosed || this.#wire.kind === 'stdio') return;
    // The stream that all answers come on; a new one would be a new session.
    if (this.#wire.kind === 'sse') this.#lose(error);
    else if (!SdkError.isInstance(error)) this.#probe();
  }

  /** Is it only slow, or is nobody there any more? */
  #probe(): void {
    if (this.#isProbing || this.#isClosed) return;
    this.#isProbing = true;
    this.#ask(Math.min(PROBE_MS, this.#options.bounds.callMs))
      .catch((error: unknown) => {
        // That it does not know the question is an answer.
        if (ProtocolError.isInstance(error)) return;
        this.#lose(this.#wire.failure() ?? new Error(`it does not answer: ${messageOf(error)}`));
      })
      .finally(() => {
        this.#isProbing = false;
      });
  }

  /** The newer protocol has no ping. */
  async #ask(timeout: number): Promise<void> {
    if (this.#client.getProtocolEra() !== 'modern') await this.#client.ping({ timeout });
    else await this.#client.request({ method: 'tools/list' }, AS_IT_IS, { timeout });
  }
}

interface Progress {
  readonly progress: number;
  readonly total?: number | undefined;
  readonly message?: string | undefined;
}

function toProgressText({ progress, total, message }: Progress): string {
  const count = total === undefined ? String(progress) : `${progress}/${total}`;
  return message === undefined ? count : `${count} ${message.slice(0, PROGRESS_CHARS_MAX)}`;
}

/** Of an answer that was no success, as the SDK or what we made of it has it. */
function statusOf(error: unknown): number | undefined {
  const { data, status, cause } = Object(error) as Readonly<Record<string, unknown>>;
  const found = status ?? (isRecord(data) ? data.status : undefined);
  if (typeof found === 'number') return found;
  return cause === undefined ? undefined : statusOf(cause);
}

/** Of the protocol's own error. */
function codeOf(error: unknown): unknown {
  if (ProtocolError.isInstance(error)) return error.code;
  return error instanceof Error ? codeOf(error.cause) : undefined;
}

/** `fetch failed` alone helps nobody. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

function withWords(reason: Error, words: string): Error {
  const message = messageOf(reason);
  return words === ''
    ? new Error(message, { cause: reason })
    : new Error(`${message}: ${words}`, { cause: reason });
}
