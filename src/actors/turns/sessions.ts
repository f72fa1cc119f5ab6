/** The session actors of an agent: made when first spoken to, kept for their next turn, let go at rest when many. */
import { createActor } from 'xstate';
import type { SessionId } from '../../contract/client-key.ts';
import { createSessionLogic, type SessionActor, type SessionEffects } from './session.actor.ts';
import type { Turn } from './turn.ts';

export class Sessions {
  readonly #logic: ReturnType<typeof createSessionLogic>;
  readonly #actors = new Map<SessionId, SessionActor>();
  readonly #actorsMax: number;
  readonly #isBusy: (sessionId: SessionId) => boolean;

  constructor(effects: SessionEffects, actorsMax: number, isBusy: (sessionId: SessionId) => boolean) {
    this.#logic = createSessionLogic(effects);
    this.#actorsMax = actorsMax;
    this.#isBusy = isBusy;
  }

  accept(turn: Turn): void {
    this.#of(turn.sessionId).send({ type: 'turn.accepted', turn });
  }

  withdraw(turn: Turn): void {
    this.#actors.get(turn.sessionId)?.send({ type: 'turn.withdrawn', turn });
  }

  end(turn: Turn): void {
    this.#actors.get(turn.sessionId)?.send({ type: 'turn.ended', turn });
    if (this.#actors.size > this.#actorsMax) this.#dropIdle();
  }

  #of(sessionId: SessionId): SessionActor {
    const known = this.#actors.get(sessionId);
    if (known) return known;
    const actor = createActor(this.#logic);
    actor.start();
    this.#actors.set(sessionId, actor);
    return actor;
  }

  #dropIdle(): void {
    for (const [sessionId, actor] of this.#actors) {
      if (this.#actors.size <= this.#actorsMax) return;
      if (this.#isBusy(sessionId)) continue;
      actor.stop();
      this.#actors.delete(sessionId);
    }
  }
}
