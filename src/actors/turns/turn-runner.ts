/**
 * One turn from its start to its durable outcome: the model call, what it streams, and the one way in which every turn
 * ends. It does not know sessions or queues; it says when a turn is over.
 */
import type { SessionId } from '../../contract/client-key.ts';
import type { Clock } from '../../contract/clock.ts';
import { AppError, type WireError } from '../../contract/errors.ts';
import type { AttachmentInfo } from '../../contract/frames.ts';
import type { Limits } from '../../contract/limits.ts';
import type { Outlet } from '../../gateway/ws/turn-service.ts';
import type { Log } from '../../logging/log.ts';
import type { ModelProvider } from '../../models/provider.ts';
import type { Journal } from '../../storage/journal.ts';
import { answerFrame, type Outcome } from '../../storage/turn-record.ts';
import type { TurnSteps } from '../../storage/turn-steps.ts';
import { CallSlots } from './call-slots.ts';
import type { Deliveries } from './deliveries.ts';
import { parseMarkers } from './markers.ts';
import type { Answer, Mind } from './mind.ts';
import { ModelCall } from './model-call.ts';
import { type Turn, turnFrames } from './turn.ts';
import type { TurnTally } from './turn-tally.ts';

export interface TurnRunnerOptions {
  readonly journal: Journal;
  readonly model: ModelProvider;
  readonly systemPrompt: string;
  /** Of an agent that can do more than answer a text. */
  readonly mind?: Mind;
  readonly steps?: TurnSteps;
  /** Nothing up to this turn is remembered from here on. Throws `storage.unavailable`. */
  readonly cutMemory?: (clientKey: string, sessionId: SessionId | undefined, turnId: number) => void;
  /** Of a turn that is ended by a start that found it: as `memoryOf` of one that has run. */
  readonly interruptedMemory?: (turn: Turn) => (() => void) | undefined;
  /** What a start finds of this session is not run again: nobody could get the answer. */
  readonly isLostWithRequest?: (sessionId: SessionId) => boolean;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Log;
  /** Marks a call to a model of somebody else's code; what it gives back ends the mark. */
  readonly enterModel?: (detail: string) => () => void;
  /** Called with every step of useful work. */
  readonly onProgress: () => void;
  /** An answer names files. Must not throw. */
  readonly onAttachments?: (answer: {
    readonly turnId: string;
    readonly sessionId: SessionId;
    readonly attachments: readonly AttachmentInfo[];
  }) => void;
  readonly onDefect: (error: unknown, where: string) => void;
}

type AbortCause = 'stop' | 'drain';

/** Why a running turn was aborted: `drain` leaves it in the journal for the next start. */
class TurnAborted extends Error {
  readonly why: AbortCause;
  constructor(why: AbortCause) {
    super(`Turn aborted: ${why}`);
    this.why = why;
  }
}

export class TurnRunner {
  readonly #options: TurnRunnerOptions;
  readonly #deliveries: Deliveries;
  readonly #tally: TurnTally;
  readonly #modelCalls: CallSlots;
  readonly #onOver: (turn: Turn) => void;

  /** `onOver`: the turn's outcome is durable and handed over, or it was left to the next start. */
  constructor(
    options: TurnRunnerOptions,
    deliveries: Deliveries,
    tally: TurnTally,
    onOver: (turn: Turn) => void,
  ) {
    this.#options = options;
    this.#deliveries = deliveries;
    this.#tally = tally;
    this.#onOver = onOver;
    this.#modelCalls = new CallSlots(options.limits.concurrentModelCalls);
  }

  /** Never ends the turn before it returns. */
  start(turn: Turn): void {
    turn.phase = 'running';
    // A turn that an earlier start may have begun is charged before it runs again.
    if (turn.isRecovered) this.#options.journal.markAttempt(turn.rowId, () => this.#enqueue(turn));
    else {
      this.#options.journal.markRunning(turn.rowId);
      this.#enqueue(turn);
    }
  }

  /** `stop`: it ends as cancelled, at once, also when the model does not listen. `drain`: it stays in the journal. */
  abort(turn: Turn, why: AbortCause): void {
    // Its outcome waits for the disk: it stays to be written, but a drain does not wait for that.
    if (turn.phase === 'ended') this.#onOver(turn);
    else if (turn.call) turn.call.abort(new TurnAborted(why));
    // Still waiting for its place among the model calls.
    else if (why === 'stop') this.cancel(turn, 'turn.cancelled');
    else this.#leave(turn);
  }

  cancel(turn: Turn, code: 'turn.cancelled' | 'turn.dropped'): void {
    const message = code === 'turn.cancelled' ? 'Stopped.' : 'Removed from the queue before it was started.';
    this.#end(turn, { state: 'cancelled', code, frame: turnFrames.error(turn, { code, message }) });
  }

  /** To the socket that asked, or to another one of the same client. */
  send(turn: Turn, frame: string): void {
    this.#outletOf(turn)?.send(frame);
  }

  #outletOf(turn: Turn): Outlet | undefined {
    return turn.outlet?.isOpen() ? turn.outlet : this.#deliveries.outletOf(turn.client);
  }

  #enqueue(turn: Turn): void {
    if (turn.phase !== 'running') return;
    const { mind, onDefect } = this.#options;
    const work = mind?.takes(turn) ? this.#think(turn, mind) : this.#modelCalls.run(() => this.#run(turn));
    work.catch((error: unknown) => onDefect(error, 'turn'));
  }

  /** A turn with steps, tools or a memory. It takes its place among the model calls for each step anew. */
  async #think(turn: Turn, mind: Mind): Promise<void> {
    try {
      const { begin } = await mind.open();
      // Ended while that was being loaded.
      if (turn.phase !== 'running') return;
      const host = { slots: this.#modelCalls, outletOf: (of: Turn) => this.#outletOf(of) };
      turn.thought = begin(turn, host);
      this.#finish(turn, await turn.thought.run());
    } catch (error) {
      this.#stumble(turn, error);
    }
  }

  async #run(turn: Turn): Promise<void> {
    if (turn.phase !== 'running') return;
    const call = new ModelCall(this.#options.systemPrompt, [{ role: 'user', text: turn.text }]);
    turn.call = call;
    try {
      this.send(turn, turnFrames.status(turn, 'Thinking...'));
      const text = await call.untilAborted(this.#answer(turn, call));
      this.#finish(turn, { text, model: this.#options.model.runtimeId });
    } catch (error) {
      this.#stumble(turn, error);
    }
  }

  #finish(turn: Turn, { text, model, cutBy }: Answer): void {
    const { text: said, attachments } = parseMarkers(text);
    const ending = { state: 'done', code: undefined } as const;
    if (attachments === null && cutBy === undefined) {
      const answer = { text: said, model };
      return this.#end(turn, { ...ending, frame: answerFrame(turn, answer), answer });
    }
    const { turnId, sessionId } = turn;
    // Before the client hears of them: it may ask for them at once.
    if (attachments) this.#options.onAttachments?.({ turnId, sessionId, attachments });
    const cut = cutBy === undefined ? {} : { finish_reason: cutBy };
    const frame = turnFrames.response(turn, { text: said, attachments, model, ...cut });
    this.#end(turn, { ...ending, frame });
  }

  #stumble(turn: Turn, error: unknown): void {
    const cause = turn.call?.cause;
    const why = cause instanceof TurnAborted ? cause.why : undefined;
    if (why === 'drain') this.#leave(turn);
    else if (why === 'stop') this.cancel(turn, 'turn.cancelled');
    else this.#fail(turn, error);
  }

  async #answer(turn: Turn, call: ModelCall): Promise<string> {
    const { model, enterModel, onProgress } = this.#options;
    let text = '';
    let seq = 0;
    const leave = enterModel?.(`turn ${turn.turnId} session ${turn.sessionId}`);
    try {
      for await (const part of model.stream(call)) {
        // Ended from outside: whatever still comes is nobody's.
        if (call.cause) throw call.cause;
        onProgress();
        if (part.type !== 'text') continue;
        text += part.delta;
        if (turn.outlet?.wantsDeltas) {
          turn.outlet.send(turnFrames.delta(turn, { seq: ++seq, text: part.delta, voidAfter: null }));
        }
      }
      return text;
    } finally {
      leave?.();
    }
  }

  #fail(turn: Turn, error: unknown): void {
    if (!AppError.is(error)) this.#options.onDefect(error, 'model');
    const wire: WireError = AppError.is(error)
      ? AppError.toWire(error)
      : { code: 'model.failed', message: 'The model failed; the log of the agent says why.' };
    this.#end(turn, { state: 'failed', code: wire.code, frame: turnFrames.error(turn, wire) });
  }

  /** The outcome goes to disk; only then the client hears of it. */
  #end(turn: Turn, ending: Outcome): void {
    const { journal, clock, onProgress } = this.#options;
    turn.phase = 'ended';
    onProgress();
    const memory = turn.thought?.memoryOf(ending.state) ?? this.#earlierMemory(turn, ending);
    if (memory) journal.write('memory', memory, (error) => error && this.#options.onDefect(error, 'memory'));
    journal.settle(turn.rowId, ending, clock.wallMs(), turn.client.isNamed, () => {
      this.#deliveries.deliver(turn.rowId, turn.client, ending.frame, turn.outlet);
      if (turn.outlet?.wantsDeltas) turn.outlet.send(turnFrames.complete(turn));
      this.#noteEnd(turn, ending);
      this.#onOver(turn);
      turn.thought?.ended();
    });
  }

  /** It ends before this start has taken it up: what earlier ones did stays known. */
  #earlierMemory(turn: Turn, { state }: Outcome): (() => void) | undefined {
    const { steps, interruptedMemory, onDefect } = this.#options;
    if (!turn.isRecovered || state === 'done') return undefined;
    try {
      return steps?.stepsOf(turn.rowId).length ? interruptedMemory?.(turn) : undefined;
    } catch (error) {
      // Its end is owed to the client, whatever becomes of the memory.
      onDefect(error, 'memory');
      return undefined;
    }
  }

  #noteEnd(turn: Turn, { state, code }: Outcome): void {
    const { log, clock } = this.#options;
    const tookMs = clock.wallMs() - turn.acceptedAtMs;
    this.#tally.ended(state, tookMs);
    const fields = {
      turn_id: turn.turnId,
      client_id: turn.client.clientId,
      session_id: turn.sessionId,
      ms: Math.round(tookMs),
    };
    if (state === 'done') log.info('message.response', fields);
    else if (state === 'cancelled') log.info('message.cancelled', { ...fields, code });
    else log.error('message.error', { ...fields, code });
  }

  /** Aborted by the end of the drain: unfinished in the journal, taken up by the next start. */
  #leave(turn: Turn): void {
    turn.phase = 'ended';
    turn.stream?.close();
    this.#options.log.info('message.interrupted', { turn_id: turn.turnId, session_id: turn.sessionId });
    this.#onOver(turn);
  }
}
