/**
 * one_for_one over a changing set of agents (OTP's DynamicSupervisor). A child that exceeds its intensity stays
 * `quarantined`; unlike in OTP it does not take the supervisor with it, because agents are independent tenants. All
 * stop at once: agents do not depend on each other. It ends when every child is settled; one that is wedged counts,
 * else a single stuck thread would keep the others' host alive for ever. An agent that is removed stops first and is
 * forgotten when it is gone; one that does not end stays, for its thread still has the directory.
 */
import { type ActorRefFrom, assign, enqueueActions, setup } from 'xstate';
import type { Clock } from '../contract/clock.ts';
import { childMachine } from './child.machine.ts';
import type { AgentCommand, PreparedAgent } from './fleet.ts';

export type ChildActor = ActorRefFrom<typeof childMachine>;

export type SupervisorEvent =
  | { type: 'agent.added'; agent: PreparedAgent }
  | { type: 'agent.command'; id: string; command: AgentCommand }
  | { type: 'agent.removed'; id: string }
  | { type: 'shutdown'; force: boolean }
  /** XState's own, when a child machine fails. */
  | { type: `xstate.error.actor.${string}`; error: unknown };

export interface SupervisorInput {
  readonly clock: Clock;
  readonly random: () => number;
  /** A child machine that failed: a defect in it, which must not end the others. */
  onDefect(error: unknown, where: string): void;
}

interface SupervisorContext extends SupervisorInput {
  /** In the order in which they were added. */
  readonly agents: ReadonlyMap<string, ChildActor>;
  /** Ids of those that are to be forgotten once they are gone. */
  readonly leaving: ReadonlySet<string>;
}

export const supervisorMachine = setup({
  types: {
    input: {} as SupervisorInput,
    context: {} as SupervisorContext,
    events: {} as SupervisorEvent,
    output: {} as { wedged: readonly string[] },
  },
  actors: { child: childMachine },
  actions: {
    add: assign({
      agents: ({ context, event, spawn }) => {
        if (event.type !== 'agent.added') return context.agents;
        const { agent } = event;
        const input = { agent, clock: context.clock, random: context.random };
        // syncSnapshot: each change of a child is an event here, so `allSettled` is looked at again.
        const child = spawn('child', { id: agent.spec.id, input, syncSnapshot: true });
        return new Map(context.agents).set(agent.spec.id, child);
      },
    }),
    removeOne: assign({
      leaving: ({ context, event }) =>
        event.type === 'agent.removed' ? new Set(context.leaving).add(event.id) : context.leaving,
    }),
    /** A child machine that failed has ended its worker with it. */
    stopOne: ({ context, event }) => {
      const child = event.type === 'agent.removed' ? context.agents.get(event.id) : undefined;
      if (child && isActive(child)) child.send({ type: 'stop' });
    },
    forgetLeft: enqueueActions(({ context, enqueue }) => {
      const decided = [...context.leaving].filter((id) => isDecided(context.agents.get(id)));
      const gone = decided.filter((id) => !isWedged(context.agents.get(id)));
      for (const id of gone) {
        const child = context.agents.get(id);
        if (child) enqueue.stopChild(child);
      }
      enqueue.assign({
        agents: new Map([...context.agents].filter(([id]) => !gone.includes(id))),
        leaving: new Set([...context.leaving].filter((id) => !decided.includes(id))),
      });
    }),
    command: ({ context, event }) => {
      if (event.type === 'agent.command') context.agents.get(event.id)?.send({ type: event.command });
    },
    stopAll: ({ context, event }) => {
      const force = event.type === 'shutdown' && event.force;
      for (const child of context.agents.values()) if (isActive(child)) child.send({ type: 'stop', force });
    },
    reportDefect: ({ context }, params: { error: unknown; where: string }) =>
      context.onDefect(params.error, params.where),
  },
  guards: {
    // Spawning a taken id would orphan the first actor: XState keeps no reference to it.
    isNew: ({ context, event }) => event.type === 'agent.added' && !context.agents.has(event.agent.spec.id),
    isKnown: ({ context, event }) => event.type === 'agent.removed' && context.agents.has(event.id),
    mayCommand: ({ context, event }) => event.type === 'agent.command' && !context.leaving.has(event.id),
    someLeft: ({ context }) => [...context.leaving].some((id) => isDecided(context.agents.get(id))),
    isForced: ({ event }) => event.type === 'shutdown' && event.force,
    allSettled: ({ context }) => [...context.agents.values()].every(isSettled),
  },
}).createMachine({
  id: 'supervisor',
  context: ({ input }) => ({ ...input, agents: new Map(), leaving: new Set() }),
  initial: 'supervising',
  on: {
    'xstate.error.actor.*': {
      actions: {
        type: 'reportDefect',
        params: ({ event }) => ({ error: event.error, where: event.type }),
      },
    },
  },
  states: {
    supervising: {
      on: {
        'agent.added': { guard: 'isNew', actions: 'add' },
        'agent.command': { guard: 'mayCommand', actions: 'command' },
        'agent.removed': { guard: 'isKnown', actions: ['removeOne', 'stopOne'] },
        shutdown: 'shuttingDown',
      },
      always: { guard: 'someLeft', actions: 'forgetLeft' },
    },
    shuttingDown: {
      entry: 'stopAll',
      on: { shutdown: { guard: 'isForced', actions: 'stopAll' } },
      always: { guard: 'allSettled', target: 'ended' },
    },
    ended: { type: 'final' },
  },
  output: ({ context }) => ({
    wedged: [...context.agents].filter(([, child]) => isWedged(child)).map(([id]) => id),
  }),
});

/** Whether it is known if one that is to be forgotten can be. */
function isDecided(child: ChildActor | undefined): boolean {
  if (child === undefined || !isActive(child)) return true;
  const { value } = child.getSnapshot();
  return value === 'stopped' || value === 'quarantined' || isWedged(child);
}

function isWedged(child: ChildActor | undefined): boolean {
  return child?.getSnapshot().matches({ alive: 'wedged' }) ?? false;
}

/** A child machine that failed has no snapshot worth waiting for. */
function isSettled(child: ChildActor): boolean {
  return !isActive(child) || child.getSnapshot().hasTag('settled');
}

function isActive(child: ChildActor): boolean {
  return child.getSnapshot().status === 'active';
}
