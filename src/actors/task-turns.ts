/**
 * Runs of scheduled tasks as turns like any other. A task is a client under a credential that no socket can have; the id
 * of a run is its idempotency key, so a run that is submitted again is the same turn, and gives the same answer.
 */
import { namedClient } from '../contract/client-key.ts';
import type { WireError } from '../contract/errors.ts';
import type { ServerFrame } from '../contract/frames.ts';
import type { Outlet, TurnService } from '../gateway/ws/turn-service.ts';
import type { RunListener, RunTurns } from '../scheduler/run-turns.ts';
import { type RunEndState, sessionOfRun } from '../scheduler/task-record.ts';

/** Credentials of sockets are hexadecimal, or nothing. */
const CREDENTIAL = 'scheduler';
const CANCELLED: readonly string[] = ['turn.cancelled', 'turn.dropped'];

export function createTaskTurns(turns: Pick<TurnService, 'submit' | 'confirm'>): RunTurns {
  return {
    submit: ({ id, taskId, prompt }, listener) => {
      const client = namedClient(taskId, CREDENTIAL);
      const outlet: Outlet = {
        client,
        wantsDeltas: false,
        isOpen: () => true,
        send: (frame) => hear(frame, listener),
        sendTerminal: (rowId, frame) => {
          // The outcome is in the journal: if it does not get any further from here, the next start asks for it.
          turns.confirm([rowId]);
          hear(frame, listener);
        },
      };
      const sessionId = sessionOfRun(taskId, id);
      turns.submit({ client, sessionId, messageId: id, text: prompt, attachments: [] }, outlet);
    },
  };
}

function hear(text: string, listener: RunListener): void {
  const frame = JSON.parse(text) as ServerFrame;
  if (frame.type === 'response') {
    const { turn_id: turnId, text } = frame;
    return listener.ended({ state: 'done', code: undefined, text, turnId });
  }
  if (frame.type !== 'error') return;
  const { code, turn_id: turnId, text: message } = frame;
  if (turnId === undefined) return listener.refused({ code: code as WireError['code'], message });
  const state: RunEndState = CANCELLED.includes(code) ? 'cancelled' : 'failed';
  listener.ended({ state, code, text: message, turnId });
}
