/**
 * What a client missed of a turn: the pieces behind the last one it saw, then the rest as it comes, or its terminal
 * frame. All in one turn of the event loop, so that nothing falls between what is told again and what is told live.
 */
import type { Outlet, ResumeWish } from '../../gateway/ws/turn-service.ts';
import type { Journal } from '../../storage/journal.ts';
import { rowIdOf, turnIdOf } from '../../storage/turn-record.ts';
import type { TurnSteps } from '../../storage/turn-steps.ts';
import type { LiveTurns } from './live-turns.ts';
import { type Turn, turnFrames } from './turn.ts';

export interface ResumeContext {
  readonly journal: Journal;
  readonly steps: TurnSteps | undefined;
  readonly live: LiveTurns;
}

export function resumeTurn(wish: ResumeWish, outlet: Outlet, context: ResumeContext): void {
  const turn = liveTurn(wish, outlet, context.live);
  if (turn) joinLive(turn, wish, outlet, context.live);
  else tellEnded(wish, outlet, context);
}

function liveTurn({ sessionId, turnId }: ResumeWish, outlet: Outlet, live: LiveTurns): Turn | undefined {
  const turns = live
    .select(outlet.client, sessionId, ['ended', 'running', 'waiting', 'pending'])
    .filter(({ client }) => client.key === outlet.client.key);
  if (turnId !== undefined) return turns.find((turn) => turn.turnId === turnId);
  // One that has ended is here only as long as its outcome is on its way to the disk.
  return turns.find(isRunning) ?? turns[0];
}

const isRunning = ({ phase }: Turn): boolean => phase === 'running' || phase === 'ended';

function joinLive(turn: Turn, wish: ResumeWish, outlet: Outlet, live: LiveTurns): void {
  const { stream } = turn;
  const runs = isRunning(turn);
  outlet.send(resumed(wish, runs ? 'running' : 'waiting', turn.turnId));
  // Of a turn that nobody asked to stream there is nothing to tell but its end, which finds its client anyway.
  if (runs && !stream && turn.call) return;
  turn.outlet = outlet;
  turn.missedAfter = wish.afterSeq;
  if (!runs) outlet.send(turnFrames.queued(turn, live.positionOf(turn)));
  else if (outlet.wantsDeltas) stream?.replay(outlet, wish.afterSeq);
}

function tellEnded(wish: ResumeWish, outlet: Outlet, { journal, steps }: ResumeContext): void {
  const { sessionId, turnId, afterSeq } = wish;
  const { key } = outlet.client;
  const rowId = turnId === undefined ? undefined : rowIdOf(turnId);
  const named = rowId === undefined ? undefined : journal.endedTurn(rowId, key);
  const ended = turnId === undefined ? journal.lastTurnOf(key, sessionId) : named;
  if (!ended) return outlet.send(resumed(wish, 'none', undefined));
  outlet.send(resumed(wish, 'ended', turnIdOf(ended.id)));
  const { session_id, turn_id, id } = JSON.parse(ended.frame) as Tags;
  const tags = { session_id, turn_id, ...(id === undefined ? {} : { id }) };
  if (outlet.wantsDeltas) {
    for (const { seq, text, voidAfter } of steps?.deltasOf(ended.id, afterSeq) ?? []) {
      const isVoid = voidAfter === null ? {} : { void_after: voidAfter };
      outlet.send(JSON.stringify({ type: 'delta', seq, text, ...isVoid, ...tags }));
    }
  }
  if (ended.isOpen) outlet.sendTerminal(ended.id, ended.frame);
  else outlet.send(ended.frame);
  if (outlet.wantsDeltas) outlet.send(JSON.stringify({ type: 'turn_complete', ...tags }));
}

interface Tags {
  readonly session_id: string | number | null;
  readonly turn_id: string;
  readonly id?: string;
}

function resumed(
  { sessionId, id }: ResumeWish,
  state: 'none' | 'waiting' | 'running' | 'ended',
  turnId: string | undefined,
): string {
  const tags = { ...(turnId === undefined ? {} : { turn_id: turnId }), ...(id === undefined ? {} : { id }) };
  return JSON.stringify({ type: 'resumed', session_id: sessionId, state, ...tags });
}
