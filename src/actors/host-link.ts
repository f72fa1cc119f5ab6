/**
 * The agent's end of the link to the main thread: questions with their answers, and notices. Every question ends: by its
 * answer, by its timeout, or because agent or channel end. Otherwise a lost answer would hold a client's request for ever.
 */
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import {
  type AskMessage,
  HOST_LINK_LIMITS,
  type HostMessage,
  type HostNotice,
  type HostQuestion,
} from '../contract/host-link.ts';

export interface AskOptions {
  readonly timeoutMs: number;
}

export interface HostLink {
  /**
   * What the main thread answers. Rejects with its error, with `host.unavailable` when there is no answer in time (what
   * was asked for may be done all the same), and with `agent.stopping` at the end of the agent.
   */
  ask(question: HostQuestion, options: AskOptions): Promise<unknown>;
  /** Gives back how to stop listening. */
  onNotice(listener: (notice: HostNotice) => void): () => void;
  receive(message: HostMessage): void;
  /** Ends all questions, and refuses new ones. */
  close(reason: 'stopping' | 'lost'): void;
}

interface Open {
  resolve(value: unknown): void;
  reject(error: AppError): void;
}

/** `send` throws when the message cannot be sent. */
export function createHostLink(send: (message: AskMessage) => void, clock: Clock): HostLink {
  const open = new Map<number, Open>();
  const listeners = new Set<(notice: HostNotice) => void>();
  let last = 0;
  let ended: 'stopping' | 'lost' | undefined;

  const take = (ask: number): Open | undefined => {
    const found = open.get(ask);
    open.delete(ask);
    return found;
  };

  return {
    ask: (question, { timeoutMs }) =>
      new Promise((resolve, reject) => {
        if (ended) return reject(endError(ended));
        if (open.size >= HOST_LINK_LIMITS.openQuestions) {
          return reject(unavailable('Too many requests wait for the supervisor; come back in a moment'));
        }
        last += 1;
        const ask = last;
        const late = `The supervisor did not answer within ${timeoutMs} ms; look whether it was done before you repeat it`;
        const timer = clock.setTimeout(() => take(ask)?.reject(unavailable(late)), timeoutMs);
        const settle =
          <T>(end: (value: T) => void) =>
          (value: T) => {
            clock.clearTimeout(timer);
            end(value);
          };
        open.set(ask, { resolve: settle(resolve), reject: settle(reject) });
        try {
          send({ type: 'worker.ask', ask, question });
        } catch (cause) {
          // What cannot be cloned is a defect of whoever asks, and shall be told as one.
          take(ask);
          clock.clearTimeout(timer);
          reject(cause);
        }
      }),
    onNotice: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    receive: (message) => {
      if (message.type === 'host.notice') for (const listener of listeners) listener(message.notice);
      // Else its time has run out: nobody waits for it any more.
      else if (message.ok) take(message.ask)?.resolve(message.value);
      else take(message.ask)?.reject(AppError.fromWire(message.error));
    },
    close: (reason) => {
      ended ??= reason;
      for (const ask of [...open.keys()]) take(ask)?.reject(endError(ended));
    },
  };
}

function endError(reason: 'stopping' | 'lost'): AppError {
  return reason === 'stopping'
    ? new AppError('agent.stopping', 'The agent is already stopping or restarting.')
    : unavailable('The supervisor of this agent is gone; the agent is about to end');
}

function unavailable(message: string): AppError {
  return new AppError('host.unavailable', message);
}
