/** Commands that change a running fleet: `start`, `stop`, `restart`, `release`, `add`, `remove`. */
import { type Command, Option } from 'commander';
import { AGENT_ACTIONS, type AgentAction, type WaitOptions } from '../../commands/command-options.ts';
import type { Done } from './command-line.ts';
import { addFleetOptions, fleetHelp } from './fleet-options.ts';
import { parseSeconds } from './option-values.ts';

interface Parsed extends Omit<WaitOptions, 'timeoutSeconds'> {
  readonly timeout: number;
  readonly all: boolean;
}

const DESCRIPTIONS: Readonly<Record<AgentAction, string>> = {
  start: 'start agents that are stopped; what runs stays as it is',
  stop: 'let running turns end and stop agents; what is stopped stays as it is',
  restart: 'let running turns end, stop agents and start them again; the others are not touched',
  release: 'forgive quarantined agents their crashes and start them',
};

const EXAMPLES: Readonly<Record<AgentAction, readonly (readonly [line: string, meaning: string])[]>> = {
  start: [
    ['start coder', 'and wait until it answers'],
    ['start --all', 'everything that is stopped'],
  ],
  stop: [
    ['stop coder writer', 'two, side by side'],
    ['stop --all --no-wait', 'ask for it and go'],
  ],
  restart: [
    ['restart coder', 'after an edit that needs a fresh start'],
    ['restart --all --timeout 300', 'every agent, each within five minutes'],
  ],
  release: [
    ['release coder', 'after the cause has been mended'],
    ['release --all', 'whatever is quarantined'],
  ],
};

const WAITING =
  'It waits until each agent is as it was asked to be, or has failed; then it says why and what to do next. An agent\nthat is as it should be already is no failure.';

export function addActCommands(program: Command, done: Done): void {
  for (const action of AGENT_ACTIONS) addAction(program, done, action);
  const add = program
    .command('add')
    .description('supervise more agent directories, beside those that run')
    .argument('<dir...>', 'directories of agents; `init` makes new ones');
  addWaitOptions(add)
    .addHelpText('after', fleetHelp([['add ./agents/new', 'start it beside the others']], WAITING))
    .action((dirs: string[], options: Parsed) =>
      done({ kind: 'add', options: { ...waitOptions(options), dirs } }),
    );
  const remove = program
    .command('remove')
    .description('stop agents and supervise them no more; their directories stay as they are')
    .argument('<agent...>', 'ids of agents');
  addTimeout(remove)
    .addHelpText('after', fleetHelp([['remove coder', 'until the supervisor starts anew or `add`']]))
    .action((agents: string[], options: Parsed) =>
      done({ kind: 'remove', options: { ...waitOptions({ ...options, wait: true }), agents } }),
    );
}

function addAction(program: Command, done: Done, action: AgentAction): void {
  const command = program
    .command(action)
    .description(DESCRIPTIONS[action])
    .argument('[agent...]', 'ids of agents')
    .option('--all', 'every agent', false);
  addWaitOptions(command)
    .addHelpText('after', fleetHelp(EXAMPLES[action], WAITING))
    .action((agents: string[], options: Parsed) => {
      if (agents.length === 0 && !options.all) command.error('error: name agents, or say --all');
      if (agents.length > 0 && options.all) command.error('error: name agents or say --all, not both');
      done({ kind: 'act', options: { ...waitOptions(options), action, agents, all: options.all } });
    });
}

function addWaitOptions(command: Command): Command {
  return addTimeout(command.option('--no-wait', 'ask for it and do not wait for what comes of it'));
}

function addTimeout(command: Command): Command {
  const timeout = new Option('--timeout <seconds>', 'how long to wait; what was asked for goes on');
  command.addOption(timeout.argParser(parseSeconds).default(120));
  return addFleetOptions(command, 'a line for each agent');
}

function waitOptions({ fleet, json, wait, timeout }: Parsed): WaitOptions {
  return { ...(fleet === undefined ? {} : { fleet }), json, wait, timeoutSeconds: timeout };
}
