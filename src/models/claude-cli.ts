/**
 * Claude's own command line, driven through Anthropic's agent SDK: it keeps the conversation itself, calls its tools by
 * itself, and is resumed by the id of its session. One process serves one message. Neither the SDK nor the program is
 * part of this package (together they are larger than everything else here): both are found where their owner put them.
 */
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Options, PermissionMode, SDKMessage, SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';
import type { Clock, TimerHandle } from '../contract/clock.ts';
import { AppError, type ErrorCode } from '../contract/errors.ts';
import { claudeNotInstalled, findClaudeSdk } from './claude-program.ts';
import type { TokenUsage } from './provider.ts';

export interface ClaudeCliOptions {
  /** The agent's directory: the program works there, and what is installed there is found first. */
  readonly dir: string;
  /** `bypass`, `auto`, or whatever else the program knows. */
  readonly permissionMode: string | undefined;
  readonly clock: Clock;
  /** In a process group of its own, which ends with the agent. */
  start(command: string, args: readonly string[], cwd: string): ChildProcess;
}

export interface ClaudeTask {
  readonly prompt: string;
  readonly system: string;
  /** Undefined: the program's own. */
  readonly model: string | undefined;
  /** Of its session, as `began` told it. */
  readonly resume: string | undefined;
  /** An MCP server of the SDK, in this process: the agent's own tools. */
  readonly toolServer: unknown;
  readonly signal: AbortSignal;
  onEvent(event: ClaudeEvent): void;
  /** Asked about each call that the program does not allow by itself. */
  allow(tool: string, input: Readonly<Record<string, unknown>>): Promise<{ readonly refusedFor?: string }>;
}

export type ClaudeEvent = { readonly type: 'began'; readonly sessionId: string } | ProgramEvent;

/** What a program that answers by itself tells of its work. */
export type ProgramEvent =
  /** What follows is a message of its own. */
  | { readonly type: 'step' }
  | { readonly type: 'text'; readonly delta: string }
  | { readonly type: 'tool'; readonly callId: string; readonly name: string; readonly input: unknown }
  | {
      readonly type: 'tool_end';
      readonly callId: string;
      readonly isError: boolean;
      readonly text: string;
    }
  /** Before its end, however that is. */
  | { readonly type: 'usage'; readonly usage: TokenUsage }
  /** Anything else that shows that it is alive. */
  | { readonly type: 'progress' };

export interface ClaudeCli {
  /** Rejects with `model.unavailable` where it is not installed, else with what it failed by. */
  run(task: ClaudeTask): Promise<void>;
}

/** The agent's own tools, as the program calls them: `mcp__openagent__vault_read`. */
export const TOOL_SERVER = 'openagent';
const OWN_TOOLS = `mcp__${TOOL_SERVER}__`;
const PROGRAM = 'claude';
/** Without a word from it; a tool of its own may run for as long. */
const SILENCE_MS = 15 * 60_000;
const PERMISSION_MODES: Readonly<Record<string, PermissionMode>> = {
  bypass: 'bypassPermissions',
  auto: 'acceptEdits',
  acceptEdits: 'acceptEdits',
  plan: 'plan',
};
/** They wait for somebody at a terminal. */
const NEED_A_TERMINAL = ['AskUserQuestion', 'EnterPlanMode', 'ExitPlanMode'];

type Sdk = typeof import('@anthropic-ai/claude-agent-sdk');

export function createClaudeCli(options: ClaudeCliOptions): ClaudeCli {
  return {
    run: async (task) => {
      const [sdk, program] = await Promise.all([loadSdk(options.dir, task.model), findProgram()]);
      const seen = { anything: false };
      try {
        await new ClaudeRun(sdk, program, options, task, seen).run();
      } catch (error) {
        task.signal.throwIfAborted();
        // It was resumed on another machine, or its files were removed: the conversation begins anew.
        const isForgotten = AppError.is(error) && /no conversation found/i.test(error.message);
        if (task.resume === undefined || !isForgotten || seen.anything) throw error;
        await new ClaudeRun(sdk, program, options, { ...task, resume: undefined }, seen).run();
      }
    },
  };
}

async function loadSdk(dir: string, model: string | undefined): Promise<Sdk> {
  const file = findClaudeSdk(dir);
  if (file === undefined) throw claudeNotInstalled(model);
  return (await import(pathToFileURL(file).href)) as Sdk;
}

/** What is on the PATH comes before what came with the SDK: its owner has logged in with it. */
async function findProgram(): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const file = join(folder, PROGRAM);
    const isThere = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  return undefined;
}

class ClaudeRun {
  readonly #sdk: Sdk;
  readonly #program: string | undefined;
  readonly #options: ClaudeCliOptions;
  readonly #task: ClaudeTask;
  readonly #seen: { anything: boolean };
  readonly #abort = new AbortController();
  #silence: TimerHandle;
  #isSilent = false;
  /** Of the message that is being said: what came in pieces is not said again as a whole. */
  #isStreamed = false;
  #stderr = '';
  #end: () => void = () => {};

  constructor(
    sdk: Sdk,
    program: string | undefined,
    options: ClaudeCliOptions,
    task: ClaudeTask,
    seen: { anything: boolean },
  ) {
    this.#sdk = sdk;
    this.#program = program;
    this.#options = options;
    this.#task = task;
    this.#seen = seen;
  }

  async run(): Promise<void> {
    const { signal } = this.#task;
    const stop = (): void => this.#abort.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    this.#listen();
    try {
      signal.throwIfAborted();
      for await (const message of this.#sdk.query({ prompt: this.#prompt(), options: this.#toOptions() })) {
        this.#listen();
        if (message.type !== 'result') this.#take(message);
        else return this.#finish(message);
      }
      throw new AppError('model.garbage', `claude ended without an answer${this.#said()}`);
    } catch (error) {
      if (this.#isSilent) throw new AppError('model.timeout', 'claude said nothing for 15 minutes');
      if (AppError.is(error) || !(error instanceof Error)) throw error;
      throw toFailure(new Error(`${error.message}${this.#said()}`, { cause: error }));
    } finally {
      this.#options.clock.clearTimeout(this.#silence);
      signal.removeEventListener('abort', stop);
      this.#end();
    }
  }

  /** Its input stays open until it has answered: calls of our tools come back over it. */
  async *#prompt(): AsyncGenerator<SDKUserMessage, void> {
    const answered = new Promise<void>((resolve) => {
      this.#end = resolve;
    });
    const message = { role: 'user', content: this.#task.prompt } as const;
    yield { type: 'user', session_id: '', parent_tool_use_id: null, message };
    await answered;
  }

  #toOptions(): Options {
    const { dir, permissionMode, start } = this.#options;
    const { system, model, resume, toolServer } = this.#task;
    const mode = PERMISSION_MODES[permissionMode ?? ''] ?? 'default';
    const server = { type: 'sdk', name: TOOL_SERVER, instance: toolServer } as never;
    return {
      ...(this.#program === undefined ? {} : { pathToClaudeCodeExecutable: this.#program }),
      ...(model === undefined ? {} : { model }),
      ...(resume === undefined ? {} : { resume }),
      cwd: dir,
      systemPrompt: system,
      settingSources: [],
      ...(toolServer === undefined ? {} : { mcpServers: { [TOOL_SERVER]: server } }),
      strictMcpConfig: true,
      includePartialMessages: true,
      disallowedTools: NEED_A_TERMINAL,
      permissionMode: mode,
      ...(mode === 'bypassPermissions'
        ? { allowDangerouslySkipPermissions: true }
        : { canUseTool: (name: string, input: Record<string, unknown>) => this.#decide(name, input) }),
      abortController: this.#abort,
      stderr: (text) => {
        this.#stderr = `${this.#stderr}${text}`.slice(-STDERR_CHARS);
      },
      spawnClaudeCodeProcess: ({ command, args, cwd, signal }) => {
        const child = start(command, args, cwd ?? dir);
        child.stderr?.on('data', (chunk: Buffer) => {
          this.#stderr = `${this.#stderr}${chunk.toString()}`.slice(-STDERR_CHARS);
        });
        signal.addEventListener('abort', () => void endGroup(child), { once: true });
        return child as ReturnType<NonNullable<Options['spawnClaudeCodeProcess']>>;
      },
    };
  }

  async #decide(name: string, input: Record<string, unknown>) {
    // Our own tools are decided about where they are called.
    if (name.startsWith(OWN_TOOLS)) return { behavior: 'allow', updatedInput: input } as const;
    const { refusedFor } = await this.#task.allow(name, input);
    if (refusedFor === undefined) return { behavior: 'allow', updatedInput: input } as const;
    return { behavior: 'deny', message: refusedFor } as const;
  }

  #take(message: SDKMessage): void {
    const { onEvent } = this.#task;
    if (message.type === 'system' && message.subtype === 'init') {
      onEvent({ type: 'began', sessionId: message.session_id });
    } else if (message.type === 'stream_event' && message.parent_tool_use_id === null) {
      this.#takePiece(message.event);
    } else if (message.type === 'assistant') this.#takeWhole(message);
    else if (message.type === 'user') this.#takeResults(message.message.content);
    else onEvent({ type: 'progress' });
  }

  #finish(message: Extract<SDKMessage, { type: 'result' }>): void {
    this.#task.onEvent({ type: 'usage', usage: usageOf(message) });
    if (message.subtype !== 'success') throw new Error(message.errors.join('; ') || message.subtype);
    if (message.is_error) throw new Error(message.result);
  }

  #takePiece(event: Extract<SDKMessage, { type: 'stream_event' }>['event']): void {
    const { onEvent } = this.#task;
    const piece = event as { type: string; delta?: { type?: string; text?: string } };
    if (piece.type === 'message_start') {
      this.#isStreamed = false;
      onEvent({ type: 'step' });
    } else if (piece.delta?.type === 'text_delta' && piece.delta.text) {
      this.#isStreamed = true;
      this.#seen.anything = true;
      onEvent({ type: 'text', delta: piece.delta.text });
    } else onEvent({ type: 'progress' });
  }

  #takeWhole({ message, parent_tool_use_id: parent }: Extract<SDKMessage, { type: 'assistant' }>): void {
    const { onEvent } = this.#task;
    for (const block of blocksOf(message)) {
      if (block.type === 'text' && parent === null && !this.#isStreamed && block.text) {
        this.#seen.anything = true;
        onEvent({ type: 'text', delta: block.text });
      }
      if (block.type !== 'tool_use' || block.id === undefined) continue;
      this.#seen.anything = true;
      const name = (block.name ?? '').replace(OWN_TOOLS, '');
      onEvent({ type: 'tool', callId: block.id, name, input: block.input });
    }
    onEvent({ type: 'progress' });
  }

  #takeResults(content: unknown): void {
    for (const block of blocksOf({ content })) {
      if (block.type !== 'tool_result' || block.tool_use_id === undefined) continue;
      const text = blocksOf(block)
        .map((part) => part.text ?? '')
        .join('');
      const whole = typeof block.content === 'string' ? block.content : text;
      const isError = block.is_error === true;
      this.#task.onEvent({ type: 'tool_end', callId: block.tool_use_id, isError, text: whole });
    }
    this.#task.onEvent({ type: 'progress' });
  }

  #listen(): void {
    const { clock } = this.#options;
    clock.clearTimeout(this.#silence);
    this.#silence = clock.setTimeout(() => {
      this.#isSilent = true;
      this.#abort.abort();
    }, SILENCE_MS);
  }

  #said(): string {
    const said = this.#stderr.trim();
    return said === '' ? '' : `: ${said}`;
  }
}

const STDERR_CHARS = 2_000;

/** What stands in messages, as far as we look at it. The SDK takes these from the program as they come. */
interface Block {
  readonly type?: string;
  readonly text?: string;
  readonly id?: string;
  readonly name?: string;
  readonly input?: unknown;
  readonly tool_use_id?: string;
  readonly is_error?: boolean;
  readonly content?: unknown;
}

function blocksOf({ content }: { readonly content?: unknown }): readonly Block[] {
  return Array.isArray(content) ? content.filter((block) => typeof block === 'object' && block !== null) : [];
}

function usageOf({
  usage,
  total_cost_usd: costUsd,
}: Pick<Extract<SDKMessage, { type: 'result' }>, 'usage' | 'total_cost_usd'>): TokenUsage {
  const [cacheRead, cacheWrite] = [
    usage.cache_read_input_tokens ?? 0,
    usage.cache_creation_input_tokens ?? 0,
  ];
  const input = usage.input_tokens + cacheRead + cacheWrite;
  return { input, output: usage.output_tokens, cacheRead, cacheWrite, reasoning: undefined, costUsd };
}

/** It speaks to people: what it means is in the words. */
const MEANINGS: readonly (readonly [RegExp, ErrorCode, string?])[] = [
  [/not logged in|\/login|api key|authentication|\b401\b/i, 'model.auth', 'Log in once with `claude`'],
  [/credit balance|billing/i, 'model.quota'],
  [/limit reached|rate.?limit|\b429\b/i, 'model.rate_limited'],
  [/overloaded|\b529\b/i, 'model.overloaded'],
  [/prompt is too long/i, 'model.context_too_long'],
  [/ENOTFOUND|ECONN|network/i, 'model.network'],
];

function toFailure(error: unknown): AppError {
  if (AppError.is(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  if (/native .*binary|executable not found|ENOENT/i.test(text)) return claudeNotInstalled(undefined, error);
  const [, code = 'model.failed', mend] = MEANINGS.find(([pattern]) => pattern.test(text)) ?? [];
  return new AppError(code, `claude: ${text}${mend === undefined ? '' : `. ${mend}`}`, { cause: error });
}

/** What it has started itself goes with it. */
function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
