/** One MCP server with its actor: its tools while it is ready, and what can be told of it at any time. */
import { createHash } from 'node:crypto';
import { type Actor, createActor, fromPromise } from 'xstate';
import { AppError } from '../contract/errors.ts';
import type { McpServerSettings, McpTarget } from '../contract/mcp-settings.ts';
import type { Tool, ToolContext, ToolEffect, ToolResult, ToolSource } from '../tools/tool.ts';
import type { ConnectionOptions, ListedTool, McpConnection, OpenConnection } from './connection.ts';
import {
  type McpServerEmitted,
  type McpServerEvent,
  mcpServerMachine,
  toMessage,
} from './mcp-server.machine.ts';
import { isRecord } from './tool-list.ts';
import type { ToolNames } from './tool-names.ts';
import type { ToolPins } from './tool-pins.ts';

export type McpServerState =
  | 'disabled'
  | 'connecting'
  | 'ready'
  | 'lost'
  | 'backoff'
  | 'failed'
  | 'stopping'
  | 'stopped';

export interface McpServerStatus {
  /** As in the configuration. */
  readonly name: string;
  readonly state: McpServerState;
  readonly transport: 'stdio' | 'http' | 'sse' | 'auto';
  readonly tools: readonly { readonly name: string; readonly offeredAs: string }[];
  /** Tools that changed since they were approved; with `pin_tools` they are not offered. */
  readonly changedTools: readonly string[];
  /** Why tools are missing. */
  readonly problems: readonly string[];
  readonly restarts: number;
  readonly lastError: string | undefined;
}

export interface SupervisedServerOptions extends Omit<ConnectionOptions, 'name' | 'target'> {
  readonly settings: McpServerSettings;
  readonly open: OpenConnection;
  readonly names: ToolNames;
  readonly pins: ToolPins;
  readonly random: () => number;
  /** Of the agent's whole configuration: what a server says of itself is shown without them. */
  readonly secrets: readonly string[];
  /** Its state or its tools are no longer what they were. */
  readonly onChange: () => void;
}

interface Offer {
  readonly listed: readonly ListedTool[];
  readonly tools: readonly Tool[];
  readonly changed: readonly string[];
  readonly problems: readonly string[];
}

const NOTHING: Offer = { listed: [], tools: [], changed: [], problems: [] };
const SECRET_CHARS_MIN = 4;

export class SupervisedServer implements ToolSource {
  readonly name: string;
  /** It has been ready once, or has failed once. */
  readonly settled: Promise<void>;
  readonly #options: SupervisedServerOptions;
  readonly #actor: Actor<typeof mcpServerMachine> | undefined;
  readonly #ended: Promise<void>;
  readonly #targetHash: string;
  #connection: McpConnection | undefined;
  #offer = NOTHING;
  #isStarted = false;
  #settle: () => void = () => {};

  constructor(options: SupervisedServerOptions) {
    const { settings } = options;
    this.#options = options;
    this.name = settings.name;
    this.#targetHash = targetHash(settings.target);
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#actor = settings.enabled ? this.#createActor() : undefined;
    this.#ended = new Promise((resolve) => {
      if (this.#actor === undefined) return resolve();
      this.#actor.subscribe({
        complete: resolve,
        error: (error) => {
          options.log.error('mcp.error', { name: this.name, error: toMessage(error) });
          resolve();
        },
      });
    });
    if (this.#actor === undefined) this.#settle();
    void this.#ended.then(() => this.#settle());
  }

  start(): void {
    this.#isStarted = true;
    this.#actor?.start();
  }

  tools(): readonly Tool[] {
    return this.#offer.tools;
  }

  /** Somebody would use its tools. */
  want(): void {
    this.#send({ type: 'want' });
  }

  retry(): void {
    this.#send({ type: 'retry' });
  }

  async approve(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) throw this.#unavailable();
    await this.#options.pins.approve(this.name, this.#targetHash, connection.list().tools);
    await this.#take(connection);
  }

  status(): McpServerStatus {
    const { settings } = this.#options;
    const snapshot = this.#actor?.getSnapshot();
    const lastError = snapshot?.context.lastError;
    return {
      name: this.name,
      state: this.#state(),
      transport: this.#connection?.transport ?? settings.target.transport,
      tools: this.#offer.tools.map((tool, index) => ({
        name: this.#offer.listed[index]?.name ?? tool.name,
        offeredAs: tool.name,
      })),
      changedTools: this.#offer.changed,
      problems: this.#offer.problems,
      restarts: snapshot?.context.restarts ?? 0,
      lastError: lastError === undefined ? undefined : this.#shown(lastError),
    };
  }

  async stop(deadlineMs: number): Promise<void> {
    if (!this.#isStarted) return;
    this.#send({ type: 'stop', deadlineMs });
    await this.#ended;
  }

  #send(event: McpServerEvent): void {
    if (this.#isStarted && this.#actor?.getSnapshot().status === 'active') this.#actor.send(event);
  }

  #createActor(): Actor<typeof mcpServerMachine> {
    const { clock, open, settings, random, ...rest } = this.#options;
    const options: ConnectionOptions = { ...rest, clock, name: settings.name, target: settings.target };
    const machine = mcpServerMachine.provide({
      actors: { connect: fromPromise(({ signal }) => open(options, signal)) },
    });
    const actor = createActor(machine, {
      id: `mcp ${settings.name}`,
      input: { random },
      clock: {
        setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs),
        clearTimeout: (timer) => clock.clearTimeout(timer),
      },
    });
    actor.on('*', (event) => this.#told(event));
    return actor;
  }

  #told(event: McpServerEmitted): void {
    const { log } = this.#options;
    const { name } = this;
    const error = 'error' in event ? this.#shown(toMessage(event.error)) : undefined;
    switch (event.type) {
      case 'mcp.connected':
        this.#connection = event.connection;
        event.connection.onList = () => void this.#take(event.connection);
        void this.#take(event.connection);
        return;
      case 'mcp.lost':
        this.#connection = undefined;
        this.#offer = NOTHING;
        log.error('mcp.lost', { name, error });
        break;
      case 'mcp.retrying':
        log.error('mcp.error', { name, error, retry_in_ms: event.inMs });
        break;
      case 'mcp.gave_up':
        log.error('mcp.gave_up', { name, error, attempts: event.attempts });
        break;
      case 'mcp.stopped':
        this.#connection = undefined;
        this.#offer = NOTHING;
        break;
    }
    this.#settle();
    this.#options.onChange();
  }

  /** Never rejects: it is nobody's to wait for. */
  async #take(connection: McpConnection): Promise<void> {
    const { log, pins, settings } = this.#options;
    const { tools, problems } = connection.list();
    const changed = await pins.check(this.name, this.#targetHash, tools);
    if (this.#connection !== connection) return;
    const listed = settings.pinTools ? tools.filter(({ name }) => !changed.includes(name)) : tools;
    this.#offer = { listed, changed, problems, tools: listed.map((tool) => this.#toTool(tool)) };
    const { name } = this;
    if (tools.length === 0) log.warn('mcp.dormant', { name, problems });
    else log.info('mcp.connect', { name, tools: tools.length, ...(problems.length > 0 ? { problems } : {}) });
    if (changed.length > 0) {
      log.warn('mcp.tools_changed', { name, tools: changed, withheld: settings.pinTools });
    }
    this.#settle();
    this.#options.onChange();
  }

  #toTool(listed: ListedTool): Tool {
    const { names, settings } = this.#options;
    return {
      name: names.nameOf(this.name, listed.name),
      description: listed.description,
      inputSchema: listed.inputSchema,
      effect: effectOf(listed, settings.trustAnnotations),
      run: (input, context) => this.#run(listed.name, input, context),
    };
  }

  async #run(tool: string, input: unknown, { signal, report }: ToolContext): Promise<ToolResult> {
    const args = input ?? {};
    if (!isRecord(args)) {
      return { text: `${tool} wants an object with its arguments`, isError: true };
    }
    const connection = this.#connection;
    if (connection === undefined) throw this.#unavailable();
    return connection.call(tool, args, { signal, report });
  }

  /** A program may print what it was given. */
  #shown(text: string): string {
    const { secrets, settings } = this.#options;
    const { target } = settings;
    const own = Object.values(target.transport === 'stdio' ? target.env : target.headers);
    return withoutSecrets(text, [...secrets, ...own]);
  }

  #unavailable(): AppError {
    const { lastError } = this.status();
    const why = lastError === undefined ? '' : `: ${lastError}`;
    return new AppError('mcp.unavailable', `The MCP server ${this.name} is ${this.#state()}${why}`);
  }

  #state(): McpServerState {
    const value = this.#actor?.getSnapshot().value;
    if (value === undefined) return 'disabled';
    if (typeof value === 'object') return 'failed';
    // Between the two there is no moment that anybody could see.
    if (value === 'deciding') return 'backoff';
    return value === 'closing' ? 'stopping' : value;
  }
}

/**
 * A lie about these costs whoever configured the server a call that runs twice after a crash, and nobody else. So the
 * commonest claim is believed, the finer one only where somebody says that this server may be believed.
 */
function effectOf({ readOnly, idempotent }: ListedTool, trust: boolean | undefined): ToolEffect {
  if (trust === false) return 'unsafe';
  if (readOnly) return 'none';
  return idempotent && trust === true ? 'repeatable' : 'unsafe';
}

/** Secrets may be among it, and are not what makes it another server. */
function targetHash(target: McpTarget): string {
  const what = target.transport === 'stdio' ? target.command : target.url;
  return createHash('sha256').update(JSON.stringify(what)).digest('base64url').slice(0, 22);
}

function withoutSecrets(text: string, secrets: readonly string[]): string {
  let clean = text.replace(/(:\/\/)[^\s/@]+@/g, '$1****@');
  for (const secret of secrets) {
    if (secret.length >= SECRET_CHARS_MIN) clean = clean.replaceAll(secret, '****');
  }
  return clean;
}
