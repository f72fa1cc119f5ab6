/**
 * Tells clients that asked for it what has changed behind their back: notes, configuration, tasks, MCP servers, and how
 * much of a budget is spent. Changes of one moment are told together and each thing once, and a flood becomes one hint to read everything again: a git
 * checkout in a vault must not become ten thousand frames.
 */
import type { Clock, TimerHandle } from '../../contract/clock.ts';
import type { ServerFrame } from '../../contract/frames.ts';

export type Resource = 'config' | 'vault' | 'task' | 'mcp';
export type ResourceAction = 'created' | 'updated' | 'deleted';

export interface ResourceEvents {
  /** Returns at once and never throws. `id`: a note's path, a task's id, a server's name; absent: all of the resource. */
  changed(resource: Resource, action: ResourceAction, id?: string): void;
  /** At once: there are three of a period. */
  budgetReached(kind: 'month' | 'day', details: BudgetReached): void;
}

export interface ResourceEventsOptions {
  readonly clock: Clock;
  /** To every client with the capability `resources`. */
  readonly broadcast: (frame: string) => void;
}

type ResourceFrame = Extract<ServerFrame, { type: 'resource_event' }>;
export type BudgetReached = NonNullable<ResourceFrame['details']>;

/** What is changed by one hand within this time is told together. */
const WINDOW_MS = 100;
/** Things of one resource that are told one by one; with more of them within a window it is `changed` as a whole. */
const THINGS_MAX = 100;

/** As the reference calls them on the wire. */
const ON_WIRE = { config: 'config', vault: 'vault', task: 'scheduled_task', mcp: 'mcp' } as const;

export function createResourceEvents({ clock, broadcast }: ResourceEventsOptions): ResourceEvents {
  const pending = new Map<Resource, Map<string | undefined, ResourceAction>>();
  let timer: TimerHandle | undefined;

  function tell(): void {
    timer = undefined;
    for (const [resource, things] of pending) {
      for (const frame of toFrames(resource, things)) broadcast(JSON.stringify(frame));
    }
    pending.clear();
  }

  return {
    changed(resource, action, id) {
      const things = pending.get(resource) ?? new Map<string | undefined, ResourceAction>();
      pending.set(resource, things);
      if (things.size <= THINGS_MAX) things.set(id, merge(things.get(id), action));
      if (timer !== undefined) return;
      timer = clock.setTimeout(tell, WINDOW_MS);
      // Nobody has to hear of a change before the agent may end.
      (timer as { unref?: () => void }).unref?.();
    },
    budgetReached(kind, details) {
      const frame: ResourceFrame = {
        ...{ type: 'resource_event', resource: 'budget', action: 'updated', id: kind },
        details,
      };
      broadcast(JSON.stringify(frame));
    },
  };
}

function toFrames(
  resource: Resource,
  things: ReadonlyMap<string | undefined, ResourceAction>,
): readonly ResourceFrame[] {
  const type = 'resource_event' as const;
  if (things.size > THINGS_MAX) return [{ type, resource: ON_WIRE[resource], action: 'changed' }];
  return [...things].map(([id, action]) => ({
    ...{ type, resource: ON_WIRE[resource], action },
    ...(id === undefined ? {} : { id }),
  }));
}

/** What two changes of one thing are to somebody who saw neither. */
function merge(first: ResourceAction | undefined, second: ResourceAction): ResourceAction {
  if (first === 'created' && second === 'updated') return 'created';
  if (first === 'deleted' && second === 'created') return 'updated';
  return second;
}
