/**
 * State changes of actors as `debug` lines: the first thing to read when an agent does not do what it should. Pass it
 * only where `log.isEnabled('debug')`: with an inspector, XState tells of every event, which the hot path would pay.
 */
import { type ActorRefLike, type InspectionEvent, isMachineSnapshot } from 'xstate';
import type { Log } from './log.ts';

/** `createActor(machine, { inspect: logInspection(log) })` */
export function logInspection(log: Log): (event: InspectionEvent) => void {
  // Weak: an actor that was stopped from outside never shows a last snapshot.
  const last = new WeakMap<ActorRefLike, string>();
  return (inspected) => {
    if (inspected.type !== '@xstate.snapshot') return;
    const { actorRef, snapshot, event } = inspected;
    const actor = 'id' in actorRef ? actorRef.id : actorRef.sessionId;
    // Promises that reject: whoever invoked them handles it. What no one handles reaches the root's error observer.
    if (snapshot.status === 'error')
      log.debug('actor.failed', {
        actor,
        on: event.type,
        error: 'error' in snapshot ? snapshot.error : undefined,
      });
    if (!isMachineSnapshot(snapshot)) return;
    const value = JSON.stringify(snapshot.value);
    const previous = last.get(actorRef);
    if (previous === value) return;
    last.set(actorRef, value);
    log.debug('actor.state', { actor, on: event.type, from: previous, to: value });
  };
}
