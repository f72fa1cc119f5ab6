/** `start`, `stop`, `restart`, `release`, `add` and `remove`. */
import { resolve } from 'node:path';
import { AppError } from '../../contract/errors.ts';
import type { FleetAgent } from '../../contract/fleet/schemas.ts';
import { findAgents } from '../agent-names.ts';
import type { CommandContext } from '../command-context.ts';
import type { ActOptions, AddOptions, AgentAction, RemoveOptions } from '../command-options.ts';
import { COMMAND_EXIT_CODES, type CommandExitCode } from '../exit-codes.ts';
import type { FleetClient, FleetRoute } from '../fleet-client.ts';
import { withFleet } from '../with-fleet.ts';
import { fulfil } from './fulfil.ts';
import { createProgress } from './progress.ts';
import { isAlready, JUDGES } from './wishes.ts';

const ROUTES = {
  start: 'startAgent',
  stop: 'stopAgent',
  restart: 'restartAgent',
  release: 'releaseAgent',
} as const satisfies Record<AgentAction, FleetRoute>;

/** A directory that is added has its lock taken and its configuration read before the answer. */
const ADD_MS = 60_000;

export function runAct(options: ActOptions, context: CommandContext): Promise<CommandExitCode> {
  return withFleet(options, context, async (client) => {
    const { action } = options;
    const agents = await client.request('listAgents', { signal: context.signal });
    const chosen = options.all
      ? agents.filter((agent) => isMeantByAll(action, agent))
      : findAgents(options.agents, agents);
    if (chosen.length === 0 && !options.json) context.out.write('nothing to do\n');
    const wishes = chosen.map((agent) => ({
      label: agent.id,
      before: agent,
      already: isAlready(action, agent),
      ask: async () => {
        const request = { params: { id: agent.id }, signal: context.signal };
        return (await client.request(ROUTES[action], request)).agent;
      },
    }));
    return fulfil({ action, wishes, judge: JUDGES[action] }, client, options, context);
  });
}

/** What was never supervised is none of `all`, and what was given up comes back by `release` alone. */
function isMeantByAll(action: AgentAction, { state }: FleetAgent): boolean {
  if (action === 'release') return state === 'quarantined';
  return state !== 'refused' && state !== 'quarantined';
}

export function runAdd(options: AddOptions, context: CommandContext): Promise<CommandExitCode> {
  return withFleet(options, context, (client) => {
    const wishes = options.dirs.map((dir) => ({
      label: dir,
      before: undefined,
      already: undefined,
      ask: async () => {
        const request = {
          body: { dir: resolve(context.cwd, dir) },
          signal: context.signal,
          timeoutMs: ADD_MS,
        };
        return (await client.request('addAgent', request)).agent;
      },
    }));
    return fulfil({ action: 'add', wishes, judge: JUDGES.start }, client, options, context);
  });
}

export function runRemove(options: RemoveOptions, context: CommandContext): Promise<CommandExitCode> {
  return withFleet(options, context, async (client) => {
    const agents = findAgents(options.agents, await client.request('listAgents', { signal: context.signal }));
    const progress = createProgress(
      'remove',
      agents.map(({ id }) => id),
      options.json,
      context,
    );
    progress.waiting(agents);
    const left = new Set(agents);
    const removals = agents.map(async (agent) => {
      const failure = await removed(client, agent, options, context);
      left.delete(agent);
      progress.result({
        label: agent.id,
        ok: failure === undefined,
        text: failure?.message ?? 'stopped and supervised no more',
        ...(failure && { code: failure.code }),
      });
      progress.waiting([...left]);
      return failure === undefined;
    });
    try {
      const { done, failed } = COMMAND_EXIT_CODES;
      return (await Promise.all(removals)).every(Boolean) ? done.code : failed.code;
    } finally {
      progress.close();
    }
  });
}

/** The answer comes when it is gone; undefined then, else why not. */
async function removed(
  client: FleetClient,
  { id }: FleetAgent,
  { timeoutSeconds }: RemoveOptions,
  { signal }: CommandContext,
): Promise<AppError | undefined> {
  try {
    await client.request('removeAgent', { params: { id }, signal, timeoutMs: timeoutSeconds * 1000 });
    return undefined;
  } catch (error) {
    if (!AppError.is(error)) throw error;
    return error;
  }
}
