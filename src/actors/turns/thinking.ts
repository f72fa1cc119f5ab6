/**
 * A turn that thinks: model step, tool calls, model step, until the model calls nothing more. Each step is durable before
 * its calls act, each answer of a call before the model sees it; what an earlier start of the agent has done already is
 * taken from the journal. `docs/journal.md` is the table this implements, with the runner.
 */
import { AppError } from '../../contract/errors.ts';
import type { ModelMessage, ToolAnswer, ToolCall } from '../../models/provider.ts';
import { unseenText } from '../../models/vision.ts';
import { announceFiles } from '../../sessions/attached-files.ts';
import { estimateMessages, estimateTokens } from '../../sessions/token-estimate.ts';
import type { EndState } from '../../storage/turn-record.ts';
import type { EndedCall, StepRecord } from '../../storage/turn-steps.ts';
import type { Tool } from '../../tools/tool.ts';
import { AnswerStream } from './answer-stream.ts';
import type { Rest } from './call-slots.ts';
import type { Answer, MindHost, MindParts, Thought } from './mind.ts';
import { ModelCall } from './model-call.ts';
import { ModelStep, type StepResult } from './model-step.ts';
import { runToolCalls } from './tool-calls.ts';
import { type Turn, turnFrames } from './turn.ts';
import { answerOf, closed, toMessage } from './turn-memory.ts';

type UserMessage = Extract<ModelMessage, { role: 'user' }>;

/** What a call brings along that may have to be left out, should the model refuse it. */
interface Prepared {
  user: UserMessage;
  history: readonly ModelMessage[];
  readonly summary: string | undefined;
  readonly model: string | undefined;
}

const ECHO = 'echo';
const SHORTER_MAX = 6;
/** Of an answer of a tool, once a call was too long for the model. */
const SHORT_RESULT_CHARS = 2_000;

export class Thinking implements Thought {
  readonly #turn: Turn;
  readonly #parts: MindParts;
  readonly #host: MindHost;
  readonly #control: ModelCall;
  readonly #stream: AnswerStream;
  /** Of this turn, behind the message: what the model said, and what its calls answered. */
  readonly #done: ModelMessage[] = [];
  /** Of the calls that are made just now. */
  #answered: ToolAnswer[] = [];
  #prepared: Prepared | undefined;
  #steps = 0;
  #model: string;

  constructor(turn: Turn, parts: MindParts, host: MindHost) {
    this.#turn = turn;
    this.#parts = parts;
    this.#host = host;
    this.#control = new ModelCall('', []);
    this.#stream = new AnswerStream(turn, parts);
    this.#model = parts.model.runtimeId;
    turn.call = this.#control;
    turn.stream = this.#stream;
  }

  run(): Promise<Answer> {
    return this.#control.untilAborted(this.#work());
  }

  memoryOf(state: EndState): (() => void) | undefined {
    const { conversations } = this.#parts;
    const prepared = this.#prepared;
    this.#stream.close();
    if (!conversations || !prepared || this.#isEcho(prepared.model)) return undefined;
    if (state !== 'done' && this.#done.length === 0 && this.#stream.text === '') return undefined;
    const { rowId: turnId, sessionId, client } = this.#turn;
    const hasBegun = (position: number) => this.#hasBegun(position);
    const done = closed(this.#done, state, this.#stream.text, this.#answered, hasBegun);
    const messages = [prepared.user, ...done];
    return () => conversations.remember({ sessionId, turnId, clientKey: client.key, messages });
  }

  ended(): void {
    const prepared = this.#prepared;
    if (prepared && !this.#isEcho(prepared.model)) {
      this.#parts.summaries?.look(this.#turn.sessionId, prepared.model);
    }
  }

  /** A call of this step that was to do something: waiting for a person, or for its turn, it has done nothing. */
  #hasBegun(position: number): boolean {
    try {
      const open = this.#parts.steps.openCallsOf(this.#turn.rowId);
      return open.some((call) => call.step === this.#steps && call.position === position);
    } catch {
      // The journal cannot be read just now: a doubt that is none costs less than a certainty that is none.
      return true;
    }
  }

  async #work(): Promise<Answer> {
    const prepared = await this.#prepare();
    this.#prepared = prepared;
    this.#goOn();
    if (this.#turn.isRecovered) await this.#restore();
    const { toolSteps } = this.#parts.limits;
    for (;;) {
      const tools = await this.#tools();
      this.#goOn();
      const step = await this.#askModel(prepared, tools);
      const { text, calls, providerData, model } = step;
      this.#goOn();
      this.#stream.flush();
      this.#model = model ?? this.#model;
      const data = providerData === undefined ? {} : { providerData };
      this.#done.push({
        role: 'assistant',
        text,
        ...(calls.length > 0 ? { toolCalls: calls } : {}),
        ...data,
      });
      if (calls.length === 0) return this.#answer(step);
      if (this.#steps >= toolSteps) throw tooManySteps(toolSteps);
      await this.#recordStep(step);
      await this.#act(this.#steps, calls, [], tools);
      this.#steps += 1;
    }
  }

  /** A model that was cut while it called a tool goes on with the answer of that; only its last word can be cut short. */
  #answer({ reason }: StepResult): Answer {
    const cut = reason === 'length' || reason === 'content_filter' ? { cutBy: reason } : {};
    return { text: this.#stream.text, model: this.#model, ...cut };
  }

  /** History, model and images: what does not change from step to step. */
  async #prepare(): Promise<Prepared> {
    const { conversations, modelOfClient, images } = this.#parts;
    const { rowId, sessionId, client, text, attachments } = this.#turn;
    const wanted = modelOfClient?.(client);
    const memory = conversations?.before(rowId, sessionId, wanted);
    const model = memory?.model ?? wanted;
    if (this.#isEcho(model)) return { user: { role: 'user', text }, history: [], summary: undefined, model };
    const shown = attachments.length > 0 ? ((await images?.(attachments, model)) ?? []) : [];
    const said = announceFiles(text, attachments);
    const user: UserMessage =
      shown === 'unseen'
        ? { role: 'user', text: unseenText(said) }
        : { role: 'user', text: said, ...(shown.length > 0 ? { images: shown } : {}) };
    return { user, history: memory?.history ?? [], summary: memory?.summary, model };
  }

  /** What earlier starts have done; calls of the last step that have no answer are made now. */
  async #restore(): Promise<void> {
    const { steps } = this.#parts;
    const records = steps.stepsOf(this.#turn.rowId);
    this.#stream.restore(records);
    const ended = records.length > 0 ? steps.endedCallsOf(this.#turn.rowId) : [];
    for (const record of records) {
      const message = toMessage(record);
      this.#done.push(message);
      this.#model = record.model ?? this.#model;
      const own = ended.filter(({ step }) => step === record.step);
      await this.#act(record.step, message.toolCalls, own, undefined);
      this.#steps = record.step + 1;
    }
  }

  async #tools(): Promise<readonly Tool[]> {
    const { tools, toolRunner } = this.#parts;
    return toolRunner ? ((await tools?.()) ?? []) : [];
  }

  async #recordStep({ text, calls, providerData, model }: StepResult): Promise<void> {
    const { steps, clock } = this.#parts;
    const record: StepRecord = {
      ...{ turnId: this.#turn.rowId, step: this.#steps, text, model: model ?? null },
      calls: JSON.stringify(calls),
      providerData: providerData === undefined ? null : JSON.stringify(providerData),
      lastSeq: this.#stream.lastSeq,
    };
    await steps.recordStep(record, clock.wallMs());
    this.#goOn();
  }

  async #act(
    step: number,
    calls: readonly ToolCall[],
    ended: readonly EndedCall[],
    known: readonly Tool[] | undefined,
  ): Promise<void> {
    // Before anything is waited for: the turn may be stopped meanwhile, and these stay known.
    this.#answered = calls.flatMap((call, position) => {
      const end = ended.find((one) => one.position === position);
      return end ? [answerOf(call, end)] : [];
    });
    const isDone = ended.length === calls.length;
    const offered = known ?? (isDone ? [] : await this.#tools());
    const tools = new Map(offered.map((tool) => [tool.name, tool]));
    const onAnswer = (answer: ToolAnswer) => this.#answered.push(answer);
    const job = { turn: this.#turn, control: this.#control, step, calls, ended, tools, onAnswer };
    const results = await runToolCalls(job, this.#parts, this.#host);
    this.#goOn();
    this.#done.push({ role: 'tool', results });
  }

  /** The same call with less in it, where the model says that this was what it could not take. */
  async #askModel(prepared: Prepared, tools: readonly Tool[]): Promise<StepResult> {
    for (let attempt = 0; ; attempt += 1) {
      let step: ModelStep | undefined;
      try {
        return await this.#inSlot(async (rest) => {
          const call = await this.#planned(prepared, tools, rest);
          step = new ModelStep(call);
          this.#stream.beginStep();
          return step.run();
        });
      } catch (error) {
        this.#goOn();
        const isHopeless = !AppError.is(error) || step?.hasSpoken || attempt >= SHORTER_MAX;
        if (isHopeless || !this.#shorten(prepared, error.code)) throw error;
      }
    }
  }

  async #planned(prepared: Prepared, tools: readonly Tool[], rest: Rest) {
    const { model, meter, clock, onProgress, systemPrompt } = this.#parts;
    const { turnId, sessionId } = this.#turn;
    const { summary, history, user, model: wanted } = prepared;
    const isEcho = this.#isEcho(wanted);
    const system = isEcho ? '' : systemPrompt({ toolNames: tools.map(({ name }) => name), summary });
    const messages = [...history, user, ...this.#done];
    const specs = tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
    const { signal } = this.#control;
    const inputTokens = isEcho
      ? 0
      : estimateMessages(messages) + estimateTokens(system) + estimateTokens(JSON.stringify(specs));
    const plan = { model: wanted, kind: 'chat', sessionId, turnId, inputTokens, signal } as const;
    const held = isEcho ? undefined : await meter?.(plan);
    const offered = specs.length > 0 ? { tools: specs } : {};
    return {
      ...{ model, meter: held, clock, onProgress },
      request: { turnId, model: wanted, system, messages, signal, rest, ...offered },
      onText: (delta: string) => this.#stream.push(delta),
    };
  }

  /** One of the agent's model calls; a turn that waits for a tool, a person or its next try holds none. */
  async #inSlot<T>(work: (rest: Rest) => Promise<T>): Promise<T> {
    let result: { readonly value: T } | undefined;
    await this.#host.slots.run(async (rest) => {
      this.#goOn();
      if (this.#steps === 0 && this.#done.length === 0) this.#tellStart();
      const { turnId, sessionId } = this.#turn;
      const leave = this.#parts.enterModel?.(`turn ${turnId} session ${sessionId}`);
      try {
        result = { value: await work(rest) };
      } finally {
        leave?.();
      }
    });
    return (result as { readonly value: T }).value;
  }

  #tellStart(): void {
    this.#host.outletOf(this.#turn)?.send(turnFrames.status(this.#turn, 'Thinking...'));
  }

  /** False: there is nothing left that could be left out. */
  #shorten(prepared: Prepared, code: string): boolean {
    if (code === 'model.rejected' && prepared.user.images !== undefined) {
      prepared.user = { role: 'user', text: unseenText(prepared.user.text) };
      return true;
    }
    if (code !== 'model.context_too_long') return false;
    if (prepared.history.length > 0) {
      prepared.history = laterHalf(prepared.history);
      return true;
    }
    return this.#shortenResults();
  }

  #shortenResults(): boolean {
    let isShorter = false;
    for (const [at, message] of this.#done.entries()) {
      if (message.role !== 'tool') continue;
      const results = message.results.map(shortResult);
      if (results.every((result, index) => result === message.results[index])) continue;
      this.#done[at] = { role: 'tool', results };
      isShorter = true;
    }
    return isShorter;
  }

  #isEcho(model: string | undefined): boolean {
    return (model ?? this.#parts.model.runtimeId) === ECHO;
  }

  /** Ended from outside: whatever else happens to this turn is nobody's. */
  #goOn(): void {
    const { cause } = this.#control;
    if (cause) throw cause;
  }
}

function tooManySteps(toolSteps: number): AppError {
  return new AppError(
    'turn.too_many_steps',
    `The model called tools ${toolSteps} times without coming to an answer. Say that it shall go on, or raise limits.tool_steps.`,
  );
}

/** From a person's message on: answers of tools need the calls before them. */
function laterHalf(history: readonly ModelMessage[]): readonly ModelMessage[] {
  const at = history.findIndex(({ role }, index) => role === 'user' && index >= history.length / 2);
  return at <= 0 ? [] : history.slice(at);
}

function shortResult(result: ToolAnswer): ToolAnswer {
  if (result.text.length <= SHORT_RESULT_CHARS) return result;
  return { ...result, text: `${result.text.slice(0, SHORT_RESULT_CHARS)}\n[cut: too long for this model]` };
}
