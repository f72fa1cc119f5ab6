/**
 * Every turn of the agent, from the message to the durable outcome. The order never changes: limits → journal →
 * acknowledgement → run → journal → terminal frame. `docs/journal.md` is the table this implements.
 */
import type { ClientKey, SessionId } from '../../contract/client-key.ts';
import { AppError, type WireError } from '../../contract/errors.ts';
import type { ShutdownReason, TurnTotals } from '../../contract/worker-protocol.ts';
import type { Message, Outlet, ResumeWish, TurnService } from '../../gateway/ws/turn-service.ts';
import { Deliveries } from './deliveries.ts';
import { LiveTurns } from './live-turns.ts';
import { recoverTurns } from './recovery.ts';
import { resumeTurn } from './resume.ts';
import { Sessions } from './sessions.ts';
import { createTurn, type Turn, turnFrames } from './turn.ts';
import { TurnRunner, type TurnRunnerOptions } from './turn-runner.ts';
import { TurnTally } from './turn-tally.ts';

export class TurnEngine implements TurnService {
  readonly #options: TurnRunnerOptions;
  readonly #live: LiveTurns;
  readonly #deliveries: Deliveries;
  readonly #sessions: Sessions;
  readonly #runner: TurnRunner;
  readonly #tally = new TurnTally();
  #begun = 0;
  #draining: ShutdownReason | undefined;
  #onDrained: (() => void) | undefined;

  constructor(options: TurnRunnerOptions) {
    this.#options = options;
    this.#live = new LiveTurns(options.limits);
    this.#deliveries = new Deliveries(options);
    this.#runner = new TurnRunner(options, this.#deliveries, this.#tally, (turn) => this.#forget(turn));
    const effects = {
      mayStart: () => this.#draining === undefined,
      start: (turn: Turn) => {
        turn.isBegun = true;
        this.#begun += 1;
        this.#runner.start(turn);
      },
      announceWait: (turn: Turn, position: number) =>
        this.#runner.send(turn, turnFrames.queued(turn, position)),
    };
    const isBusy = (sessionId: SessionId) => this.#live.countOfSession(sessionId) > 0;
    this.#sessions = new Sessions(effects, options.limits.waitingPerAgent, isBusy);
  }

  /** Takes up what earlier starts left. Call once, before anyone can connect. */
  recover(): void {
    const [deliveries, tally] = [this.#deliveries, this.#tally];
    recoverTurns({ ...this.#options, deliveries, tally }, (turn) => {
      this.#live.add(turn);
      this.#accepted(turn);
    });
  }

  submit(message: Message, outlet: Outlet): void {
    if (message.messageId !== undefined && this.#repeat(message, message.messageId, outlet)) return;
    const refusal = this.#draining === 'stop' ? STOPPING : this.#live.refusal(message);
    if (refusal) return outlet.send(refused(message, refusal));
    const { journal, clock } = this.#options;
    const acceptedAtMs = clock.wallMs();
    const turn = createTurn({ ...message, rowId: journal.nextTurnId(), acceptedAtMs }, outlet, false);
    this.#live.add(turn);
    const attachments = message.attachments.length > 0 ? JSON.stringify(message.attachments) : null;
    const { rowId: id, sessionId, client, messageId, text } = turn;
    journal.accept({ id, sessionId, client, messageId, text, attachments, acceptedAtMs }, (error) => {
      if (!error) return this.#accepted(turn);
      this.#live.remove(turn);
      // Sent again meanwhile, from another socket perhaps: there somebody waits for an answer.
      turn.outlet?.send(refused(message, AppError.toWire(error)));
    });
  }

  stop(client: ClientKey, sessionId: SessionId | undefined): { running: number; waiting: number } {
    const waiting = this.clear(client, sessionId);
    const stopped = this.#live.select(client, sessionId, ['running']);
    for (const turn of stopped) {
      turn.isWithdrawn = true;
      this.#runner.abort(turn, 'stop');
    }
    return { running: stopped.length, waiting };
  }

  clear(client: ClientKey, sessionId: SessionId | undefined): number {
    const turns = this.#live.select(client, sessionId, ['pending', 'waiting']);
    for (const turn of turns) {
      turn.isWithdrawn = true;
      if (turn.phase === 'pending') continue;
      this.#sessions.withdraw(turn);
      this.#runner.cancel(turn, 'turn.dropped');
    }
    return turns.length;
  }

  resume(wish: ResumeWish, outlet: Outlet): void {
    const { journal, steps } = this.#options;
    resumeTurn(wish, outlet, { journal, steps, live: this.#live });
  }

  beginAfresh(client: ClientKey, sessionId: SessionId | undefined): void {
    const { journal, cutMemory } = this.#options;
    if (!cutMemory) return;
    const turnId = journal.lastTurnId();
    cutMemory(client.key, sessionId, turnId);
    if (sessionId !== undefined) return;
    // Sessions that nothing is remembered of yet, because their first turn runs.
    const live = this.#live.select(client, undefined, ['pending', 'waiting', 'running']);
    for (const id of new Set(live.map((turn) => turn.sessionId))) cutMemory(client.key, id, turnId);
  }

  summary(client: ClientKey): { isBusy: boolean; waiting: number; sessions: number } {
    return this.#live.summary(client);
  }

  hasTurns(sessionId: SessionId): boolean {
    return this.#live.countOfSession(sessionId) > 0;
  }

  attach(outlet: Outlet): void {
    this.#deliveries.attach(outlet);
  }

  detach(outlet: Outlet, undelivered: readonly number[]): void {
    this.#deliveries.detach(outlet, undelivered);
  }

  confirm(rowIds: readonly number[]): void {
    this.#deliveries.confirm(rowIds);
  }

  /** To be called now and then. */
  expireUndelivered(): void {
    this.#deliveries.expire();
    const { steps, clock, limits } = this.#options;
    steps?.trimDeltas(clock.wallMs() - limits.redeliveryMs, DELTA_TURNS_MAX);
  }

  counts(): { running: number; waiting: number } {
    return { running: this.#begun, waiting: this.#live.size - this.#begun };
  }

  totals(): TurnTotals {
    return this.#tally.totals();
  }

  /** Which turns run, for people. */
  running(): readonly string[] {
    return this.#live.begun().map(({ turnId, sessionId }) => `turn ${turnId} of session ${sessionId}`);
  }

  /** No turn begins from here on. On `restart` new messages are still journalled and queued; on `stop` refused. */
  beginDrain(reason: ShutdownReason): void {
    this.#draining = reason;
  }

  /**
   * Resolves when no turn runs; turns still running after `drainMs` are aborted and stay in the journal. Called again
   * with less time when the drain has to hurry; the earlier promise is then of no interest.
   */
  drained(drainMs: number): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      if (this.#begun === 0) return resolve();
      const timer = clock.setTimeout(() => {
        for (const turn of this.#live.begun()) this.#runner.abort(turn, 'drain');
      }, drainMs);
      this.#onDrained = () => {
        clock.clearTimeout(timer);
        resolve();
      };
    });
  }

  #accepted(turn: Turn): void {
    const { log, onProgress } = this.#options;
    onProgress();
    if (!turn.isRecovered) {
      this.#tally.accepted();
      log.info('message.received', {
        turn_id: turn.turnId,
        client_id: turn.client.clientId,
        session_id: turn.sessionId,
        length: turn.text.length,
      });
    }
    turn.phase = 'waiting';
    if (turn.isWithdrawn) this.#runner.cancel(turn, 'turn.dropped');
    else this.#sessions.accept(turn);
  }

  #forget(turn: Turn): void {
    if (turn.isBegun) this.#begun -= 1;
    turn.isBegun = false;
    this.#live.remove(turn);
    this.#sessions.end(turn);
    if (this.#draining && this.#begun === 0) this.#onDrained?.();
  }

  /** The same message again: it is answered, not run. True when it was known. */
  #repeat(message: Message, messageId: string, outlet: Outlet): boolean {
    const { journal } = this.#options;
    const turn = this.#live.findByMessage(message.client, messageId);
    const row = turn ? undefined : journal.findByMessage(message.client.key, messageId);
    const text = turn ? turn.text : row?.text;
    if (text === undefined) return false;
    if (text !== null && text !== message.text) {
      const reused: WireError = {
        code: 'message.id_reused',
        message: `Another message of this client has the id ${messageId}`,
      };
      outlet.send(refused(message, reused));
    } else if (turn) this.#rejoin(turn, outlet);
    else if (row) {
      const outcome = journal.outcomeOf(row.id);
      if (outcome) outlet.send(outcome.frame);
    }
    return true;
  }

  #rejoin(turn: Turn, outlet: Outlet): void {
    turn.outlet = outlet;
    if (turn.phase === 'running') outlet.send(turnFrames.status(turn, 'Thinking...'));
    else if (turn.phase === 'waiting') {
      outlet.send(turnFrames.queued(turn, this.#live.positionOf(turn)));
    }
  }
}

/** Whose pieces are let go in one look. */
const DELTA_TURNS_MAX = 200;

const STOPPING: WireError = {
  code: 'agent.stopping',
  message: 'The agent is stopping and takes no new messages; send it again when it is back.',
};

/** The message never became a turn: no `turn_id`, and nothing of it is kept. */
function refused(message: Message, error: WireError): string {
  const id = message.messageId === undefined ? {} : { id: message.messageId };
  const { code, message: text } = error;
  return JSON.stringify({ type: 'error', text, code, session_id: message.sessionId, ...id });
}
