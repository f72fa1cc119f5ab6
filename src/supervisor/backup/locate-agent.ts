/** Which directory is meant: one that is given, or that of an agent of a fleet that runs. */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { CommandContext } from '../../commands/command-context.ts';
import { runningFleets } from '../../commands/find-fleet.ts';
import { openFleetClient } from '../../commands/fleet-client.ts';
import { AppError } from '../../contract/errors.ts';
import { CONFIG_NAME } from '../config/read-config.ts';

export async function locateAgent(given: string, context: CommandContext): Promise<string> {
  const dir = resolve(context.cwd, given);
  if (await isAgent(dir)) return dir;
  const found: string[] = [];
  for (const { socket } of await runningFleets(context)) {
    const agents = await openFleetClient(socket).request('listAgents', { signal: context.signal });
    found.push(...agents.filter(({ id }) => id === given).map((agent) => agent.dir));
  }
  const [only, another] = found;
  if (only !== undefined && another === undefined) return only;
  const why =
    another === undefined
      ? `${dir} is no agent's directory, and no fleet that runs has an agent ${JSON.stringify(given)}`
      : `${found.join(' and ')} both belong to an agent of that name: give the directory`;
  throw new AppError('backup.refused', why);
}

async function isAgent(dir: string): Promise<boolean> {
  return stat(join(dir, CONFIG_NAME)).then(
    () => true,
    () => false,
  );
}
