/**
 * Every turn of the agent, from the message to the durable outcome. The order never changes: limits → journal →
 * acknowledgement → run → journal → terminal frame. `docs/journal.md` is the table this implements.
 */
import PQueue from 'p-queue';
import { createActor } from 'xstate';
import type { SessionId } from '../../contract/client-key.ts';
import type { Clock } from '../../contract/clock.ts';
import { AppError, type ErrorCode, type WireError } from '../../contract/errors.ts';
import type { Limits } from '../../contract/limits.ts';
import type { ShutdownReason } from '../../contract/worker-protocol.ts';
import type { Message, Outlet, TurnService } from '../../gateway/ws/turn-service.ts';
import type { Log } from '../../logging/log.ts';
import type { ModelProvider } from '../../models/provider.ts';
import type { Journal } from '../../storage/journal.ts';
import type { EndState } from '../../storage/turn-record.ts';
import { createDeliveries } from './deliveries.ts';
import { createLiveTurns } from './live-turns.ts';
import { parseMarkers } from './markers.ts';
import { recoverTurns } from './recovery.ts';
import { createSessionLogic, type SessionActor } from './session.actor.ts';
import { createTurn, type Turn, turnFrames } from './turn.ts';

export interface TurnEngine extends TurnService {
  /** Takes up what earlier starts left. Call once, before anyone can connect. */
  recover(): void;
  counts(): { running: number; waiting: number };
  /** No turn begins from here on. On `restart` new messages are still journalled and queued; on `stop` refused. */
  beginDrain(reason: ShutdownReason): void;
  /** Resolves when no turn runs; turns still running after `drainMs` are aborted and stay in the journal. */
  drained(drainMs: number): Promise<void>;
}

export interface TurnEngineOptions {
  readonly journal: Journal;
  readonly model: ModelProvider;
  readonly systemPrompt: string;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Log;
  /** Called with every step of useful work. */
  readonly onProgress: () => void;
  readonly onDefect: (error: unknown, where: string) => void;
}

interface Ending {
  readonly state: EndState;
  readonly code?: ErrorCode;
  readonly frame: string;
}

/** Why a running turn was aborted: `drain` leaves it in the journal for the next start. */
class TurnAborted extends Error {
  readonly why: 'stop' | 'drain';
  constructor(why: 'stop' | 'drain') {
    super(`Turn aborted: ${why}`);
    this.why = why;
  }
}

export function createTurnEngine(options: TurnEngineOptions): TurnEngine {
  const { journal, model, limits, clock, log, onProgress } = options;
  const live = createLiveTurns(limits);
  const deliveries = createDeliveries({ journal, limits, clock });
  const modelCalls = new PQueue({ concurrency: limits.concurrentModelCalls });
  const sessions = new Map<SessionId, SessionActor>();
  const running = new Set<Turn>();
  let draining: ShutdownReason | undefined;
  let onDrained: (() => void) | undefined;

  const sessionLogic = createSessionLogic({
    mayStart: () => draining === undefined,
    start: (turn) => {
      turn.phase = 'running';
      running.add(turn);
      // A turn that an earlier start may have begun is charged before it runs again.
      if (turn.isRecovered) journal.markAttempt(turn.rowId, () => enqueue(turn));
      else {
        journal.markRunning(turn.rowId);
        enqueue(turn);
      }
    },
    announceWait: (turn, position) => send(turn, turnFrames.queued(turn, position)),
  });

  function send(turn: Turn, frame: string): void {
    const outlet = turn.outlet?.isOpen() ? turn.outlet : deliveries.outletOf(turn.client);
    outlet?.send(frame);
  }

  function sessionOf(sessionId: SessionId): SessionActor {
    const known = sessions.get(sessionId);
    if (known) return known;
    const actor = createActor(sessionLogic);
    actor.start();
    sessions.set(sessionId, actor);
    return actor;
  }

  function enqueue(turn: Turn): void {
    if (turn.phase !== 'running') return;
    modelCalls.add(() => runTurn(turn)).catch((error: unknown) => options.onDefect(error, 'turn'));
  }

  async function runTurn(turn: Turn): Promise<void> {
    if (turn.phase !== 'running') return;
    turn.abort = new AbortController();
    const { signal } = turn.abort;
    try {
      send(turn, turnFrames.status(turn, 'Thinking...'));
      const text = await untilAborted(answer(turn, signal), signal);
      const parsed = parseMarkers(text);
      const frame = turnFrames.response(turn, { ...parsed, model: model.runtimeId });
      end(turn, { state: 'done', frame });
    } catch (error) {
      if (!(signal.reason instanceof TurnAborted)) return end(turn, failed(turn, error));
      if (signal.reason.why === 'stop') return end(turn, cancelled(turn, 'turn.cancelled'));
      leave(turn);
    }
  }

  async function answer(turn: Turn, signal: AbortSignal): Promise<string> {
    const messages = [{ role: 'user' as const, text: turn.text }];
    let text = '';
    let seq = 0;
    for await (const part of model.stream(
      { model: undefined, system: options.systemPrompt, messages },
      signal,
    )) {
      signal.throwIfAborted();
      onProgress();
      if (part.type !== 'text') continue;
      text += part.delta;
      if (turn.outlet?.wantsDeltas) turn.outlet.send(turnFrames.delta(turn, ++seq, part.delta));
    }
    return text;
  }

  function failed(turn: Turn, error: unknown): Ending {
    if (!AppError.is(error)) options.onDefect(error, 'model');
    const wire: WireError = AppError.is(error)
      ? AppError.toWire(error)
      : { code: 'model.failed', message: 'The model failed; the log of the agent says why.' };
    return { state: 'failed', code: wire.code, frame: turnFrames.error(turn, wire) };
  }

  /** The outcome goes to disk; only then the client hears of it, and the next turn of the session begins. */
  function end(turn: Turn, ending: Ending): void {
    turn.phase = 'ended';
    onProgress();
    const outcome = { state: ending.state, code: ending.code, frame: ending.frame };
    journal.settle(turn.rowId, outcome, clock.wallMs(), turn.client.isNamed, () => {
      deliveries.deliver(turn.rowId, turn.client, ending.frame, turn.outlet);
      if (turn.outlet?.wantsDeltas) turn.outlet.send(turnFrames.complete(turn));
      logEnd(turn, ending);
      forget(turn);
    });
  }

  function logEnd(turn: Turn, ending: Ending): void {
    const fields = {
      turn_id: turn.turnId,
      client_id: turn.client.clientId,
      session_id: turn.sessionId,
      ms: Math.round(clock.wallMs() - turn.acceptedAtMs),
    };
    if (ending.state === 'done') log.info('message.response', fields);
    else if (ending.state === 'cancelled') log.info('message.cancelled', { ...fields, code: ending.code });
    else log.error('message.error', { ...fields, code: ending.code });
  }

  function abort(turn: Turn, why: 'stop' | 'drain'): void {
    if (turn.abort) turn.abort.abort(new TurnAborted(why));
    // Still waiting for its place among the model calls.
    else if (why === 'stop') end(turn, cancelled(turn, 'turn.cancelled'));
    else leave(turn);
  }

  /** Aborted by the end of the drain: unfinished in the journal, taken up by the next start. */
  function leave(turn: Turn): void {
    turn.phase = 'ended';
    log.info('message.interrupted', { turn_id: turn.turnId, session_id: turn.sessionId });
    forget(turn);
  }

  function forget(turn: Turn): void {
    running.delete(turn);
    live.remove(turn);
    const session = sessions.get(turn.sessionId);
    session?.send({ type: 'turn.ended', turn });
    if (live.countOfSession(turn.sessionId) === 0) dropIdleSessions();
    if (draining && running.size === 0) onDrained?.();
  }

  /** Sessions at rest are kept for their next turn, up to a bound. */
  function dropIdleSessions(): void {
    if (sessions.size <= limits.waitingPerAgent) return;
    for (const [sessionId, actor] of sessions) {
      if (live.countOfSession(sessionId) > 0) continue;
      actor.stop();
      sessions.delete(sessionId);
      if (sessions.size <= limits.waitingPerAgent) return;
    }
  }

  function accepted(turn: Turn): void {
    onProgress();
    turn.phase = 'waiting';
    if (turn.isWithdrawn) return end(turn, cancelled(turn, 'turn.dropped'));
    sessionOf(turn.sessionId).send({ type: 'turn.accepted', turn });
  }

  function withdraw(turn: Turn): void {
    sessions.get(turn.sessionId)?.send({ type: 'turn.withdrawn', turn });
    end(turn, cancelled(turn, 'turn.dropped'));
  }

  function submit(message: Message, outlet: Outlet): void {
    const refusal = draining === 'stop' ? STOPPING : live.refusal(message);
    if (message.messageId !== undefined && repeat(message, message.messageId, outlet)) return;
    if (refusal) return outlet.send(refused(message, refusal));
    const acceptedAtMs = clock.wallMs();
    const turn = createTurn({ ...message, rowId: journal.nextTurnId(), acceptedAtMs }, outlet, false);
    live.add(turn);
    const attachments = message.attachments.length > 0 ? JSON.stringify(message.attachments) : null;
    const row = { id: turn.rowId, sessionId: turn.sessionId, client: turn.client, messageId: turn.messageId };
    journal.accept({ ...row, text: turn.text, attachments, acceptedAtMs }, (error) => {
      if (error) {
        live.remove(turn);
        return outlet.send(refused(message, AppError.toWire(error)));
      }
      log.info('message.received', {
        turn_id: turn.turnId,
        client_id: turn.client.clientId,
        session_id: turn.sessionId,
        length: turn.text.length,
      });
      accepted(turn);
    });
  }

  /** The same message again: it is answered, not run. True when it was known. */
  function repeat(message: Message, messageId: string, outlet: Outlet): boolean {
    const turn = live.findByMessage(message.client, messageId);
    const row = turn ? undefined : journal.findByMessage(message.client.key, messageId);
    const text = turn ? turn.text : row?.text;
    if (text === undefined) return false;
    if (text !== null && text !== message.text) {
      outlet.send(
        refused(message, { code: 'message.id_reused', message: `Another message has the id ${messageId}` }),
      );
      return true;
    }
    if (turn) {
      turn.outlet = outlet;
      if (turn.phase === 'running') outlet.send(turnFrames.status(turn, 'Thinking...'));
      else if (turn.phase === 'waiting') outlet.send(turnFrames.queued(turn, live.positionOf(turn)));
    } else if (row) {
      const outcome = journal.outcomeOf(row.id);
      if (outcome) outlet.send(outcome.frame);
    }
    return true;
  }

  function withdrawAll(turns: readonly Turn[]): number {
    for (const turn of turns) {
      if (turn.phase === 'pending') turn.isWithdrawn = true;
      else withdraw(turn);
    }
    return turns.length;
  }

  return {
    submit,
    attach: deliveries.attach,
    detach: deliveries.detach,
    confirm: deliveries.confirm,
    stop(client, sessionId) {
      const waiting = withdrawAll(live.select(client, sessionId, ['pending', 'waiting']));
      const stopped = live.select(client, sessionId, ['running']);
      for (const turn of stopped) {
        turn.isWithdrawn = true;
        abort(turn, 'stop');
      }
      return { running: stopped.length, waiting };
    },
    clear: (client, sessionId) => withdrawAll(live.select(client, sessionId, ['pending', 'waiting'])),
    summary: (client) => live.summary(client),
    recover: () =>
      recoverTurns({ journal, limits, log, clock, deliveries }, (turn) => {
        live.add(turn);
        accepted(turn);
      }),
    counts: () => ({ running: running.size, waiting: live.size() - running.size }),
    beginDrain(reason) {
      draining = reason;
    },
    drained: (drainMs) =>
      new Promise((resolve) => {
        if (running.size === 0) return resolve();
        const timer = clock.setTimeout(() => {
          for (const turn of [...running]) abort(turn, 'drain');
        }, drainMs);
        onDrained = () => {
          clock.clearTimeout(timer);
          resolve();
        };
      }),
  };
}

/** A model that ignores its signal does not keep the turn, or its place in the queue. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    work.then(resolve, reject);
  });
}

const STOPPING: WireError = {
  code: 'agent.stopping',
  message: 'The agent is stopping and takes no new messages; send it again when it is back.',
};

function cancelled(turn: Turn, code: 'turn.cancelled' | 'turn.dropped'): Ending {
  const message = code === 'turn.cancelled' ? 'Stopped.' : 'Removed from the queue before it was started.';
  return { state: 'cancelled', code, frame: turnFrames.error(turn, { code, message }) };
}

/** The message never became a turn: no `turn_id`, and nothing of it is kept. */
function refused(message: Message, error: WireError): string {
  const id = message.messageId === undefined ? {} : { id: message.messageId };
  const { code, message: text } = error;
  return JSON.stringify({ type: 'error', text, code, session_id: message.sessionId, ...id });
}
