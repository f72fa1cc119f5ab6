/**
 * The stdio transport of an MCP server: one JSON message a line, over the pipes of a program that the agent's own
 * `ChildProcesses` starts, since one started by the SDK would outlive the agent unseen. What the program sends is bounded:
 * a line, and lines in a second. Beyond that, and whenever it ends, the transport is closed, and says why.
 */
import type { ChildProcess } from 'node:child_process';
import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/client';
import type { Clock, TimerHandle } from '../contract/clock.ts';
import type { Log } from '../logging/log.ts';
import type { McpBounds } from './bounds.ts';
import type { StartProgram } from './connection.ts';

export interface ProgramOptions {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly dir: string;
  readonly bounds: McpBounds;
  readonly clock: Clock;
  readonly log: Log;
  readonly start: StartProgram;
}

const NEWLINE = 10;
const STDERR_CHARS = 2_000;
const RATE_MS = 1_000;
/** For what a program wrote just before its end to be read. */
const LAST_WORDS_MS = 200;

export class ProgramTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: NonNullable<Transport['onmessage']>;
  /** Why it closed, when nobody asked for it. */
  failure: Error | undefined;
  readonly #options: ProgramOptions;
  #child: ChildProcess | undefined;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #stderr = '';
  #windowStartMs = -Infinity;
  #windowCount = 0;
  #isClosed = false;
  #onEnd: (() => void) | undefined;
  #isEnded = false;

  constructor(options: ProgramOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { command, env, dir, start } = this.#options;
    const [program, ...args] = command;
    const child = start(program, args, { cwd: dir, env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => {
        if (child.pid === undefined) this.#ended();
        reject(new Error(`${program} cannot be started: ${error.message}`));
      });
    });
    child.stdout?.on('data', (chunk: Buffer) => this.#receive(chunk));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARS);
    });
    // A pipe that breaks is the program's end, which is told below.
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.on('error', () => {});
    child.once('exit', (code, signal) => {
      const fail = () => this.#fail(new Error(`it ended ${signal ? `by ${signal}` : `with code ${code}`}`));
      const timer = this.#options.clock.setTimeout(fail, LAST_WORDS_MS);
      child.once('close', () => {
        this.#options.clock.clearTimeout(timer);
        fail();
      });
      this.#ended();
    });
    // One that was closed while it started.
    if (this.#isClosed) this.#signal('SIGKILL');
  }

  async send(message: JSONRPCMessage): Promise<void> {
    const stdin = this.#child?.stdin;
    if (this.#isClosed || !stdin?.writable) throw this.failure ?? new Error('it is closed');
    if (stdin.writableLength > this.#options.bounds.messageBytes) {
      this.#fail(new Error('it does not read what it is sent'));
      throw this.failure ?? new Error('it is closed');
    }
    stdin.write(`${JSON.stringify(message)}\n`);
  }

  /** The polite way: its input ends, and it has half of the time to follow; then the signals. */
  async end(deadlineMs: number): Promise<void> {
    const child = this.#child;
    this.#close();
    if (child === undefined || this.#isEnded) return;
    child.stdin?.end();
    if (await this.#within(deadlineMs / 2)) return;
    this.#signal('SIGTERM');
    if (await this.#within(deadlineMs / 4)) return;
    this.#signal('SIGKILL');
    await this.#within(deadlineMs / 4);
  }

  /** As the SDK closes it, where a connection never came to be. */
  async close(): Promise<void> {
    this.#close();
    this.#signal('SIGKILL');
  }

  /** What it complained of last, for people. */
  lastWords(): string {
    return this.#stderr.trim().split('\n').slice(-3).join(' ').trim();
  }

  #receive(chunk: Buffer): void {
    let rest = chunk;
    while (!this.#isClosed) {
      const end = rest.indexOf(NEWLINE);
      if (end < 0) break;
      this.#pending.push(rest.subarray(0, end));
      const line = Buffer.concat(this.#pending).toString('utf8').trim();
      this.#pending = [];
      this.#pendingBytes = 0;
      rest = rest.subarray(end + 1);
      if (line !== '') this.#take(line);
    }
    if (this.#isClosed || rest.length === 0) return;
    this.#pending.push(rest);
    this.#pendingBytes += rest.length;
    const { messageBytes } = this.#options.bounds;
    if (this.#pendingBytes <= messageBytes) return;
    this.#fail(new Error(`it sent a message of more than ${messageBytes} bytes (limits.mcp_message_bytes)`));
  }

  #take(line: string): void {
    const { bounds, clock, log, name } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#windowStartMs >= RATE_MS) {
      this.#windowStartMs = nowMs;
      this.#windowCount = 0;
    }
    this.#windowCount += 1;
    if (this.#windowCount > bounds.messagesPerSecond) {
      const most = `${bounds.messagesPerSecond} (limits.mcp_messages_per_second)`;
      this.#fail(new Error(`it sent more messages in a second than ${most}`));
      return;
    }
    let message: JSONRPCMessage;
    try {
      message = JSON.parse(line) as JSONRPCMessage;
    } catch {
      // Many servers print to where only messages belong.
      log.debug('mcp.noise', { name, text: line.slice(0, 200) });
      return;
    }
    this.onmessage?.(message);
  }

  #fail(error: Error): void {
    if (this.#isClosed) return;
    this.failure = error;
    this.#close();
    this.#signal('SIGKILL');
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pending = [];
    this.onclose?.();
  }

  #ended(): void {
    this.#isEnded = true;
    this.#onEnd?.();
  }

  #within(timeMs: number): Promise<boolean> {
    if (this.#isEnded) return Promise.resolve(true);
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const timer: TimerHandle = clock.setTimeout(() => resolve(false), timeMs);
      this.#onEnd = () => {
        clock.clearTimeout(timer);
        resolve(true);
      };
    });
  }

  /** To all of its group; nothing to one that has ended, whose number may be somebody else's. */
  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined || this.#isEnded) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      // It may have ended this moment; anything else is worth a line, and the agent's own end takes it along.
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
      this.#options.log.warn('mcp.signal_failed', { name: this.#options.name, signal, error });
    }
  }
}
