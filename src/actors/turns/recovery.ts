/** What a start of the agent does with the turns that earlier starts left open. */
import type { SessionId } from '../../contract/client-key.ts';
import type { Clock } from '../../contract/clock.ts';
import type { AttachmentInfo } from '../../contract/frames.ts';
import type { Limits } from '../../contract/limits.ts';
import type { Log } from '../../logging/log.ts';
import type { Journal } from '../../storage/journal.ts';
import { type OpenTurn, RESTORED_EFFECTS } from '../../storage/turn-record.ts';
import type { TurnSteps } from '../../storage/turn-steps.ts';
import type { Deliveries } from './deliveries.ts';
import { createTurn, type Turn, turnFrames } from './turn.ts';
import type { TurnTally } from './turn-tally.ts';

export interface RecoveryContext {
  readonly journal: Journal;
  readonly limits: Limits;
  readonly log: Log;
  readonly clock: Clock;
  readonly deliveries: Deliveries;
  readonly tally: TurnTally;
  readonly steps?: TurnSteps;
  readonly interruptedMemory?: (turn: Turn) => (() => void) | undefined;
  readonly isLostWithRequest?: (sessionId: SessionId) => boolean;
  readonly onDefect: (error: unknown, where: string) => void;
}

/** `run` gets every turn that is to run (again), in order of acceptance. */
export function recoverTurns(context: RecoveryContext, run: (turn: Turn) => void): void {
  const { journal, log, deliveries } = context;
  const counts = { run: 0, interrupted: 0, undelivered: 0 };
  for (const open of journal.openTurns()) {
    if (open.endedAtMs !== undefined) {
      counts.undelivered += 1;
      deliveries.remember(open.id, open.client, open.endedAtMs);
      continue;
    }
    const turn = toTurn(open);
    const why = interruption(open, context);
    if (why === undefined) {
      counts.run += 1;
      run(turn);
    } else {
      counts.interrupted += 1;
      remember(context, turn);
      interrupt(context, turn, why);
    }
  }
  if (counts.run + counts.interrupted + counts.undelivered > 0) log.info('journal.recovered', counts);
}

function interruption(open: OpenTurn, context: RecoveryContext): string | undefined {
  const { limits, steps, isLostWithRequest } = context;
  if (open.effects === RESTORED_EFFECTS) {
    return 'This agent was restored from a backup that was made before this was finished. It was not repeated, so that nothing happens twice: send it again if needed.';
  }
  // The model is not told to judge for itself: it might make the call again, and that would be a repetition too.
  const unsafe = open.isBegun ? steps?.openUnsafeCall(open.id) : undefined;
  if (unsafe !== undefined) {
    return `The agent went down while the tool ${unsafe.name} was at work, and nobody knows how far it came. It was not called again, so that nothing happens twice: look at what was done, and send the message again if needed.`;
  }
  if (open.effects > 0) {
    return 'The agent went down while this was running, after it had begun to act. It was not repeated, so that nothing happens twice: look at what was done, and send it again if needed.';
  }
  if (isLostWithRequest?.(open.sessionId)) {
    return 'The agent went down, and the request that waited for this answer with it. It had no Idempotency-Key, so nobody could get the answer: it was not asked again.';
  }
  if (open.attempts >= limits.attemptsPerTurn) {
    return `The agent went down each of the ${open.attempts + 1} times this was running. It was not tried again.`;
  }
  return undefined;
}

function interrupt(context: RecoveryContext, turn: Turn, message: string): void {
  const { journal, log, clock, deliveries, tally } = context;
  const code = 'turn.interrupted';
  const frame = turnFrames.error(turn, { code, message });
  const outcome = { state: 'interrupted' as const, code, frame } as const;
  log.error('message.error', { turn_id: turn.turnId, session_id: turn.sessionId, code });
  journal.settle(turn.rowId, outcome, clock.wallMs(), turn.client.isNamed, () => {
    tally.ended('interrupted', clock.wallMs() - turn.acceptedAtMs);
    deliveries.deliver(turn.rowId, turn.client, frame, undefined);
  });
}

/** With the outcome: the next turn of this conversation knows what was asked, and what was done. */
function remember({ journal, interruptedMemory, onDefect }: RecoveryContext, turn: Turn): void {
  try {
    const memory = interruptedMemory?.(turn);
    if (memory) journal.write('memory', memory, (error) => error && onDefect(error, 'memory'));
  } catch (error) {
    // Its end is owed to the client, whatever becomes of the memory.
    onDefect(error, 'memory');
  }
}

function toTurn(open: OpenTurn): Turn {
  const attachments = open.attachments === null ? [] : (JSON.parse(open.attachments) as AttachmentInfo[]);
  return createTurn({ ...open, rowId: open.id, text: open.text ?? '', attachments }, undefined, true);
}
