/**
 * The one way a tool is called: the call is checked, allowed or asked about, told to the journal before anything
 * happens, held to its time, cut to what a model can read, and put into words when it fails. A tool cannot fail a turn;
 * only a stop of the turn, or a journal that cannot be written, ends one here.
 */
import type { Clock } from '../contract/clock.ts';
import { AppError, type ErrorCode } from '../contract/errors.ts';
import { isPlainObject, jsonProblem } from '../contract/json-value.ts';
import type { Log } from '../logging/log.ts';
import type { ToolAnswer, ToolCall } from '../models/provider.ts';
import type { Approvals } from './approvals.ts';
import { cutText } from './cut-text.ts';
import type { Tool, ToolContext, ToolEffect, ToolResult } from './tool.ts';
import type { ToolPolicy } from './tool-policy.ts';

export interface ToolRunnerOptions {
  readonly policy: ToolPolicy;
  readonly approvals: Pick<Approvals, 'ask'>;
  /** Of a call to a tool that has no time limit of its own. */
  readonly timeoutMs: number;
  readonly outputChars: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface CallContext extends ToolContext {
  /** An earlier start of the agent began the turn. */
  readonly isRecovered?: boolean;
  /** Once all is decided, and before a tool that does something does it: what it returns is waited for. */
  beforeEffect?(effect: Exclude<ToolEffect, 'none'>): Promise<void> | void;
}

export interface ToolRun {
  readonly answer: ToolAnswer;
  /** Why it failed; undefined where it did not, or where the tool itself says that it did. */
  readonly code: ErrorCode | undefined;
  /** False: refused before the tool was called, so nothing has happened. */
  readonly hasRun: boolean;
}

export interface ToolRunner {
  /** `tool` undefined: there is none of that name. Rejects with the signal's reason, and with what `beforeEffect` throws. */
  run(tool: Tool | undefined, call: ToolCall, context: CallContext): Promise<ToolRun>;
}

const INPUT_LIMITS = { chars: 8 * 1024 * 1024, values: 100_000, depth: 64 } as const;

export function createToolRunner(options: ToolRunnerOptions): ToolRunner {
  return { run: (tool, call, context) => new Call(options, call, context).run(tool) };
}

class Call {
  readonly #options: ToolRunnerOptions;
  readonly #call: ToolCall;
  readonly #context: CallContext;

  constructor(options: ToolRunnerOptions, call: ToolCall, context: CallContext) {
    this.#options = options;
    this.#call = call;
    this.#context = context;
  }

  async run(tool: Tool | undefined): Promise<ToolRun> {
    const { signal } = this.#context;
    signal.throwIfAborted();
    const { name, input } = this.#call;
    if (tool === undefined) return this.#refuse('tool.unknown', `There is no tool "${name}" now`);
    const problem = inputProblem(tool, input);
    if (problem !== undefined) return this.#refuse('tool.input_invalid', problem);
    // A copy: what is shown, approved and run is one thing, whoever else holds the call.
    const own = structuredClone(input) as Record<string, unknown>;
    try {
      await this.#allow(tool, own);
    } catch (error) {
      signal.throwIfAborted();
      if (AppError.is(error) && error.code === 'tool.denied') return this.#refuse(error.code, error.message);
      throw error;
    }
    if (tool.effect !== 'none') await this.#context.beforeEffect?.(tool.effect);
    signal.throwIfAborted();
    return this.#perform(tool, own);
  }

  async #allow(tool: Tool, input: Readonly<Record<string, unknown>>): Promise<void> {
    const decision = this.#options.policy.decide(tool);
    const { name } = tool;
    if (decision === 'allow') return;
    if (decision === 'deny') throw denied(name, 'the configuration of this agent denies it');
    const { turnId, sessionId, signal, report, isRecovered = false } = this.#context;
    report(`Waiting for somebody to approve ${name}`);
    const question = { tool: name, input, turnId, sessionId, signal, isRecovered };
    const approval = await this.#options.approvals.ask(question);
    if (!approval.isAllowed) throw denied(name, approval.reason);
    approval.use({ tool: name, input, sessionId });
  }

  async #perform(tool: Tool, input: unknown): Promise<ToolRun> {
    const { clock, log, outputChars } = this.#options;
    const { turnId, signal } = this.#context;
    const startMs = clock.monotonicMs();
    const facts = () => ({ tool: tool.name, turn: turnId, ms: Math.round(clock.monotonicMs() - startMs) });
    try {
      const { text, isError = false } = await this.#inTime(tool, input);
      log.info('tool.end', { ...facts(), failed: isError });
      return { answer: this.#answer(cutText(text, outputChars), isError), code: undefined, hasRun: true };
    } catch (error) {
      signal.throwIfAborted();
      const known = AppError.is(error) ? error : undefined;
      if (known === undefined) log.error('tool.defect', { ...facts(), error });
      else log.info('tool.end', { ...facts(), failed: true, code: known.code });
      const { code, message } = known ?? { code: 'tool.failed' as const, message: `${tool.name} failed` };
      const answer = this.#answer(cutText(`${message} (${code})`, outputChars), true);
      return { answer, code, hasRun: true };
    }
  }

  /** A tool that hears nothing holds neither the turn nor whoever stops it. */
  #inTime(tool: Tool, input: unknown): Promise<ToolResult> {
    const { clock } = this.#options;
    const { signal, turnId, sessionId, report } = this.#context;
    const timeoutMs = tool.timeoutMs ?? this.#options.timeoutMs;
    const own = new AbortController();
    return new Promise((resolve, reject) => {
      const giveUp = (reason: unknown): void => {
        settle();
        reject(reason);
        own.abort(reason);
      };
      const onAbort = (): void => giveUp(signal.reason);
      const timer = clock.setTimeout(() => giveUp(tooSlow(tool, timeoutMs)), timeoutMs);
      signal.addEventListener('abort', onAbort, { once: true });
      const settle = (): void => {
        clock.clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      };
      const context: ToolContext = { signal: own.signal, turnId, sessionId, report };
      const work = new Promise<ToolResult>((begin) => begin(tool.run(input, context)));
      work.then(resolve, reject).finally(settle);
    });
  }

  #refuse(code: ErrorCode, message: string): ToolRun {
    const { name } = this.#call;
    this.#options.log.info('tool.refused', { tool: name, turn: this.#context.turnId, code });
    const answer = this.#answer(cutText(`${message} (${code})`, this.#options.outputChars), true);
    return { answer, code, hasRun: false };
  }

  #answer(text: string, isError: boolean): ToolAnswer {
    const { id, name } = this.#call;
    return { id, name, text, isError };
  }
}

function inputProblem(tool: Tool, input: unknown): string | undefined {
  const prefix = `The input of ${tool.name} is refused: `;
  const problem = jsonProblem(input, INPUT_LIMITS);
  if (problem !== undefined) return `${prefix}${problem}`;
  if (!isPlainObject(input)) return `${prefix}it must be a JSON object`;
  const wrong = tool.check?.(input);
  return wrong === undefined ? undefined : `${prefix}${wrong}`;
}

function denied(name: string, why: string): AppError {
  return new AppError('tool.denied', `${name} was not called: ${why}`);
}

function tooSlow({ name, effect }: Tool, timeoutMs: number): AppError {
  const doubt = effect === 'none' ? '' : '; what it does may have happened, or happen still';
  return new AppError('tool.timeout', `${name} did not end within ${timeoutMs} ms${doubt}`);
}
