/**
 * The tool calls of one model step: side by side where all of them only look, otherwise one after the other. A call
 * that does something is in the journal before it does it, its answer before anybody goes on from it; a call whose
 * answer is there already is not made again.
 */
import type { ToolAnswer, ToolCall } from '../../models/provider.ts';
import type { EndedCall } from '../../storage/turn-steps.ts';
import type { Tool, ToolResult } from '../../tools/tool.ts';
import type { MindHost, MindParts } from './mind.ts';
import type { ModelCall } from './model-call.ts';
import { endedCall, runningCall, shown, type ToldCall, tellCall } from './told-calls.ts';
import { type ToolEvent, type Turn, turnFrames } from './turn.ts';
import { answerOf } from './turn-memory.ts';

export interface ToolStep {
  readonly turn: Turn;
  readonly control: ModelCall;
  readonly step: number;
  readonly calls: readonly ToolCall[];
  /** Of this step, from an earlier start. */
  readonly ended: readonly EndedCall[];
  readonly tools: ReadonlyMap<string, Tool>;
  /** The answer of a call that was made just now is durable. */
  readonly onAnswer: (answer: ToolAnswer) => void;
}

const REPORT_EVERY_MS = 500;

export async function runToolCalls(
  step: ToolStep,
  parts: MindParts,
  host: MindHost,
): Promise<readonly ToolAnswer[]> {
  const { calls, tools, ended } = step;
  const run = (call: ToolCall, position: number): Promise<ToolAnswer> | ToolAnswer => {
    const before = ended.find((known) => known.position === position);
    if (before) return answerOf(call, before);
    return new RunningCall(step, call, position, parts, host).run();
  };
  // What there is no tool for only gets an answer.
  if (calls.every(({ name }) => (tools.get(name)?.effect ?? 'none') === 'none')) {
    return Promise.all(calls.map(run));
  }
  const answers: ToolAnswer[] = [];
  for (const [position, call] of calls.entries()) answers.push(await run(call, position));
  return answers;
}

class RunningCall {
  readonly #step: ToolStep;
  readonly #call: ToolCall;
  readonly #position: number;
  readonly #parts: MindParts;
  readonly #host: MindHost;
  #reportedMs = Number.NEGATIVE_INFINITY;

  constructor(step: ToolStep, call: ToolCall, position: number, parts: MindParts, host: MindHost) {
    this.#step = step;
    this.#call = call;
    this.#position = position;
    this.#parts = parts;
    this.#host = host;
  }

  async run(): Promise<ToolAnswer> {
    const { steps, clock, onProgress } = this.#parts;
    const { name, input } = this.#call;
    this.#goOn();
    this.#tell(runningCall(this.#call.id, name, input));
    const answer = await this.#perform();
    this.#goOn();
    onProgress();
    await steps.endCall(this.#record(), answer, clock.wallMs());
    this.#step.onAnswer(answer);
    this.#goOn();
    this.#tell(endedCall(this.#call.id, name, answer));
    return answer;
  }

  async #perform(): Promise<ToolAnswer> {
    const { steps, clock, toolRunner } = this.#parts;
    const { turn, control, tools } = this.#step;
    if (!toolRunner) return this.#answer({ text: 'This agent has no tools.', isError: true });
    const { answer } = await toolRunner.run(tools.get(this.#call.name), this.#call, {
      signal: control.signal,
      turnId: turn.turnId,
      sessionId: turn.sessionId,
      isRecovered: turn.isRecovered,
      report: (progress) => this.#report(progress),
      beforeEffect: () => steps.beginCall(this.#record(), clock.wallMs()),
    });
    return answer;
  }

  #answer({ text, isError = false }: ToolResult): ToolAnswer {
    const { id, name } = this.#call;
    return { id, name, text, isError };
  }

  #record() {
    const { turn, step, tools } = this.#step;
    const { id: callId, name, input } = this.#call;
    return {
      ...{ turnId: turn.rowId, step, position: this.#position, callId, name },
      input: JSON.stringify(input ?? null),
      effect: tools.get(name)?.effect ?? 'none',
    };
  }

  /** The turn may have ended while a tool was at work: then nothing more is told or written of it. */
  #goOn(): void {
    const { cause } = this.#step.control;
    if (cause) throw cause;
  }

  #report(progress: string): void {
    const { onProgress, clock } = this.#parts;
    onProgress();
    const nowMs = clock.monotonicMs();
    if (this.#step.control.cause || nowMs - this.#reportedMs < REPORT_EVERY_MS) return;
    this.#reportedMs = nowMs;
    const text = shown(progress);
    const { turn } = this.#step;
    const outlet = this.#host.outletOf(turn);
    if (outlet?.wantsTools) outlet.send(turnFrames.tool(turn, this.#event({ status: 'progress', text })));
    else outlet?.send(turnFrames.status(turn, text));
  }

  #tell(told: ToldCall): void {
    const { turn } = this.#step;
    tellCall(turn, this.#host.outletOf(turn), told);
  }

  #event(event: Omit<ToolEvent, 'call_id' | 'tool'>): ToolEvent {
    return { call_id: this.#call.id, tool: this.#call.name, ...event };
  }
}
