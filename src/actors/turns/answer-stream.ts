/**
 * What a turn has said so far, and the pieces of it that its client is sent. For a client with `resume` a piece is on
 * disk before it is sent, so that each seq means the same text for ever, also after a crash; pieces are gathered for a
 * moment, so that tokens do not cost a commit each.
 */
import type { Clock, TimerHandle } from '../../contract/clock.ts';
import type { Outlet } from '../../gateway/ws/turn-service.ts';
import type { Delta, StepRecord, TurnSteps } from '../../storage/turn-steps.ts';
import { type Turn, turnFrames } from './turn.ts';

export interface AnswerStreamOptions {
  readonly steps: TurnSteps;
  readonly clock: Clock;
}

/** All streams of an agent write at the same moments: one commit takes the pieces of them all. */
const GATHER_MS = 50;
const GATHER_CHARS = 2_048;
/** Between what was said before a tool was called and what is said after it. */
const STEP_BREAK = '\n\n';

export class AnswerStream {
  readonly #turn: Turn;
  readonly #options: AnswerStreamOptions;
  #text = '';
  #isStepBegun = false;
  /** Handed out; those up to `#sentSeq` have been sent, or could have been. */
  readonly #pieces: Delta[] = [];
  #lastSeq = 0;
  #sentSeq = 0;
  #gathered = '';
  #timer: TimerHandle | undefined;
  #voidAfter: number | null = null;
  #isRecorded: boolean;
  #isClosed = false;

  constructor(turn: Turn, options: AnswerStreamOptions) {
    this.#turn = turn;
    this.#options = options;
    this.#isRecorded = turn.outlet?.wantsDeltas === true && turn.outlet.wantsResume === true;
  }

  /** Of a turn that an earlier start began. What was sent of a step that did not end is void. */
  restore(steps: readonly StepRecord[]): void {
    for (const { text } of steps) {
      this.beginStep();
      this.#text += this.#withBreak(text);
    }
    const sent = this.#options.steps.deltasOf(this.#turn.rowId, 0);
    const last = sent.at(-1)?.seq ?? 0;
    this.#isRecorded ||= last > 0;
    if (!this.#isRecorded) return;
    this.#pieces.push(...sent);
    this.#lastSeq = last;
    this.#sentSeq = last;
    const kept = steps.at(-1)?.lastSeq ?? 0;
    if (last > kept) this.#voidAfter = kept;
    // Steps of a start whose client was away: nobody was sent them, so they come as one.
    if (textOf(sent.filter(({ seq }) => seq <= kept)) !== this.#text) {
      this.#voidAfter = last > 0 ? 0 : null;
      this.#record([this.#nextPiece(this.#text)]);
    }
    const { outlet, missedAfter } = this.#turn;
    if (missedAfter !== undefined && outlet?.wantsDeltas) this.replay(outlet, missedAfter);
  }

  /** All that was said. */
  get text(): string {
    return this.#text;
  }

  /** Of the last piece, once `flush` has been called. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  beginStep(): void {
    this.#isStepBegun = false;
  }

  push(delta: string): void {
    if (delta === '' || this.#isClosed) return;
    const text = this.#withBreak(delta);
    this.#text += text;
    if (this.#isRecorded) return this.#gather(text);
    const { outlet } = this.#turn;
    if (outlet?.wantsDeltas !== true) return;
    const piece = this.#nextPiece(text);
    this.#sentSeq = piece.seq;
    outlet.send(turnFrames.delta(this.#turn, piece));
  }

  /** Nothing is gathered from here on: a step ends, or the turn. */
  flush(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#gathered === '') return;
    const piece = this.#nextPiece(this.#gathered);
    this.#gathered = '';
    this.#record([piece]);
  }

  /** Nobody wants to hear more of it. */
  close(): void {
    this.#isClosed = true;
    this.#gathered = '';
    this.#options.clock.clearTimeout(this.#timer);
  }

  /** What the client has not seen yet; the rest follows to the turn's outlet as it comes. */
  replay(outlet: Outlet, afterSeq: number): void {
    const tell = (): void => {
      for (const piece of this.#pieces) {
        if (piece.seq > this.#sentSeq) break;
        if (piece.seq > afterSeq) outlet.send(turnFrames.delta(this.#turn, piece));
      }
    };
    if (this.#isRecorded) tell();
    else this.#beginRecording(tell);
  }

  /** A client with `resume` has come to a turn that was begun without one: from here on it is as if it had been there. */
  #beginRecording(recorded: () => void): void {
    this.#isRecorded = true;
    if (textOf(this.#pieces) !== this.#text) {
      // Nobody was sent anything so far, or only a part: said anew as one piece.
      this.#voidAfter = this.#lastSeq > 0 ? 0 : null;
      this.#pieces.push(this.#pieceOf(this.#text));
    }
    const pieces = [...this.#pieces];
    this.#options.steps.recordDeltas(this.#turn.rowId, pieces, () => {
      this.#sentSeq = pieces.at(-1)?.seq ?? 0;
      recorded();
    });
  }

  #withBreak(text: string): string {
    if (this.#isStepBegun || text === '') return text;
    this.#isStepBegun = true;
    return this.#text === '' ? text : STEP_BREAK + text;
  }

  /** The first one goes at once, the others wait for the next of the common moments. */
  #gather(text: string): void {
    this.#gathered += text;
    if (this.#timer === undefined) {
      this.flush();
      this.#wait();
    } else if (this.#gathered.length >= GATHER_CHARS) {
      this.flush();
      this.#wait();
    }
  }

  #wait(): void {
    const { clock } = this.#options;
    const leftMs = GATHER_MS - (clock.monotonicMs() % GATHER_MS);
    // A timer may fire a little before its moment: that is not another one.
    const delayMs = leftMs < GATHER_MS / 2 ? leftMs + GATHER_MS : leftMs;
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined;
      if (this.#gathered === '' || this.#isClosed) return;
      this.flush();
      this.#wait();
    }, delayMs);
  }

  #nextPiece(text: string): Delta {
    const piece = this.#pieceOf(text);
    this.#pieces.push(piece);
    return piece;
  }

  #pieceOf(text: string): Delta {
    this.#lastSeq += 1;
    const piece = { seq: this.#lastSeq, text, voidAfter: this.#voidAfter };
    this.#voidAfter = null;
    return piece;
  }

  #record(pieces: readonly Delta[]): void {
    this.#options.steps.recordDeltas(this.#turn.rowId, pieces, () => {
      const { outlet } = this.#turn;
      for (const piece of pieces) {
        this.#sentSeq = piece.seq;
        if (outlet?.wantsDeltas) outlet.send(turnFrames.delta(this.#turn, piece));
      }
    });
  }
}

/** What a client has that was sent these, in order. */
function textOf(pieces: readonly Delta[]): string {
  return heardOf(pieces, 0);
}

/** Of that, what came behind a piece. */
export function heardOf(pieces: readonly Delta[], afterSeq: number): string {
  let kept: Delta[] = [];
  for (const piece of pieces) {
    const { voidAfter } = piece;
    if (voidAfter !== null) kept = kept.filter(({ seq }) => seq <= voidAfter);
    kept.push(piece);
  }
  const later = kept.filter(({ seq }) => seq > afterSeq);
  return later.map(({ text }) => text).join('');
}
