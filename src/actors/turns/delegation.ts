/**
 * A turn that is handed whole to a program which thinks and acts by itself. What it does meanwhile nobody can take back or
 * look up, so the handing over is one call that must not run twice: it is durable before the program is started, and a
 * turn that a crash leaves with it open ends as interrupted.
 */
import { announceFiles } from '../../sessions/attached-files.ts';
import { estimateTokens } from '../../sessions/token-estimate.ts';
import type { EndState } from '../../storage/turn-record.ts';
import { AnswerStream } from './answer-stream.ts';
import type { Answer, CallMeter, Delegate, DelegateEvent, MindHost, MindParts, Thought } from './mind.ts';
import { ModelCall } from './model-call.ts';
import { endedCall, runningCall, shown, tellCall } from './told-calls.ts';
import { type Turn, turnFrames } from './turn.ts';

export interface DelegationOptions {
  readonly delegate: Delegate;
  /** Of the program, in the journal. */
  readonly name: string;
  /** What clients are told. */
  readonly runtimeId: string;
  /** What stands behind the program's name in it. */
  readonly model: string | undefined;
}

export class Delegation implements Thought {
  readonly #turn: Turn;
  readonly #parts: MindParts;
  readonly #host: MindHost;
  readonly #options: DelegationOptions;
  readonly #control = new ModelCall('', []);
  readonly #stream: AnswerStream;
  /** Names of the calls that have begun. */
  readonly #calls = new Map<string, string>();
  readonly #prompt: string;
  #saidChars = 0;

  constructor(turn: Turn, parts: MindParts, host: MindHost, options: DelegationOptions) {
    this.#turn = turn;
    this.#parts = parts;
    this.#host = host;
    this.#options = options;
    this.#stream = new AnswerStream(turn, parts);
    this.#prompt = announceFiles(turn.text, turn.attachments);
    turn.call = this.#control;
    turn.stream = this.#stream;
  }

  run(): Promise<Answer> {
    return this.#control.untilAborted(this.#work());
  }

  /** For the lists of sessions, and for another model that the session may be given. */
  memoryOf(state: EndState): (() => void) | undefined {
    const { conversations } = this.#parts;
    this.#stream.close();
    const said = this.#stream.text;
    if (!conversations || (state !== 'done' && said === '')) return undefined;
    const { rowId: turnId, sessionId, client } = this.#turn;
    const note = state === 'done' ? '' : '\n\n[Ended here, before the answer was complete.]';
    const messages = [
      { role: 'user', text: this.#prompt } as const,
      { role: 'assistant', text: `${said}${note}` } as const,
    ];
    return () => conversations.remember({ sessionId, turnId, clientKey: client.key, messages });
  }

  ended(): void {
    // The program keeps its conversation, and sums it up, by itself.
  }

  async #work(): Promise<Answer> {
    const { steps } = this.#parts;
    const before = this.#turn.isRecovered ? steps.endedCallsOf(this.#turn.rowId).at(0) : undefined;
    if (this.#turn.isRecovered) this.#stream.restore([]);
    if (before) this.#say(before.answer);
    else await this.#host.slots.run(() => this.#handOver());
    this.#goOn();
    this.#stream.flush();
    return { text: this.#stream.text, model: this.#options.runtimeId };
  }

  async #handOver(): Promise<void> {
    const { steps, clock, systemPrompt, enterModel } = this.#parts;
    const { turnId, sessionId } = this.#turn;
    this.#goOn();
    this.#outlet()?.send(turnFrames.status(this.#turn, 'Thinking...'));
    const tools = this.#parts.toolRunner ? ((await this.#parts.tools?.()) ?? []) : [];
    const system = systemPrompt({ toolNames: tools.map(({ name }) => name), summary: undefined });
    const held = await this.#reserve(system);
    const leave = enterModel?.(`turn ${turnId} session ${sessionId}`);
    try {
      this.#goOn();
      await steps.beginCall(this.#record(), clock.wallMs());
      this.#goOn();
      await this.#options.delegate.run({
        ...{ turn: this.#turn, prompt: this.#prompt, model: this.#options.model, tools, system },
        signal: this.#control.signal,
        onEvent: (event) => this.#take(event, held),
      });
      this.#goOn();
      await steps.endCall(this.#record(), { text: this.#stream.text, isError: false }, clock.wallMs());
    } finally {
      leave?.();
      held?.end(this.#saidChars, undefined);
    }
  }

  async #reserve(system: string): Promise<CallMeter | undefined> {
    const { turnId, sessionId } = this.#turn;
    const inputTokens = estimateTokens(system) + estimateTokens(this.#prompt);
    const { runtimeId: model } = this.#options;
    const { signal } = this.#control;
    return this.#parts.meter?.({ ...{ model, kind: 'chat', sessionId, turnId }, inputTokens, signal });
  }

  #take(event: DelegateEvent, held: CallMeter | undefined): void {
    this.#parts.onProgress();
    // What was paid for is written down also where nobody wants it any more.
    if (event.type === 'usage') {
      const { usage } = event;
      void held?.take({ type: 'usage', usage, model: this.#options.runtimeId }, this.#saidChars);
      return;
    }
    if (this.#control.cause) return;
    if (event.type === 'step') this.#stream.beginStep();
    else if (event.type === 'text') this.#say(event.delta);
    else if (event.type === 'report') {
      this.#outlet()?.send(turnFrames.status(this.#turn, shown(event.text)));
    } else if (event.type === 'tool') {
      this.#calls.set(event.callId, event.name);
      tellCall(this.#turn, this.#outlet(), runningCall(event.callId, event.name, event.input));
    } else if (event.type === 'tool_end') {
      const name = this.#calls.get(event.callId);
      // Of a program within the program: nobody heard of its beginning.
      if (name !== undefined) tellCall(this.#turn, this.#outlet(), endedCall(event.callId, name, event));
    }
  }

  #say(text: string): void {
    this.#saidChars += text.length;
    this.#stream.push(text);
  }

  #record() {
    const { rowId: turnId } = this.#turn;
    const { name, model } = this.#options;
    const input = JSON.stringify({ model: model ?? null });
    return { ...{ turnId, step: 0, position: 0, callId: name, name, input }, effect: 'unsafe' };
  }

  #outlet() {
    return this.#host.outletOf(this.#turn);
  }

  #goOn(): void {
    const { cause } = this.#control;
    if (cause) throw cause;
  }
}
