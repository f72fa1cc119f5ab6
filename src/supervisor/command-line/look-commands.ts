/** Commands that look at a running fleet: `ps`, `top`, `logs`, `events`, `incidents`. Only `top` can be told to act on it. */
import { type Command, Option } from 'commander';
import type { FleetOptions, PsOptions, TailOptions } from '../../commands/command-options.ts';
import type { Done } from './command-line.ts';
import { addFleetOptions, fleetHelp } from './fleet-options.ts';
import { parseIds, parseWholeNumber } from './option-values.ts';

const LOG_LINES_MAX = 10_000;
const EVENTS_MAX = 1_000;

export function addLookCommands(program: Command, done: Done): void {
  addPs(program, done);
  addTop(program, done);
  addTail(program, done, {
    kind: 'logs',
    description: 'what agents have written into their logs, merged by time',
    linesMax: LOG_LINES_MAX,
    help: fleetHelp(
      [
        ['logs -f', 'all agents, as it happens'],
        ['logs coder -n 500', 'the newest 500 entries of one'],
        ['logs --agent a,b --event turn.', 'turns of two agents'],
        ['logs --json coder | jq .event', 'entries as they stand in logs/events.jsonl'],
      ],
      'With -f the entries that are there come first and the new ones after them, none twice and none left out; where some\nhad to be left out it is said. A fleet that starts again is waited for. Ctrl-C ends it.',
    ),
  });
  addTail(program, done, {
    kind: 'events',
    description: 'what happened to agents: states, warnings, incidents, configuration',
    linesMax: EVENTS_MAX,
    help: fleetHelp([
      ['events -f', 'the newest 100, then as it happens'],
      ['events --event agent.incident', 'hangs and stalls'],
      ['events --agent coder --json', 'one agent, for programs'],
    ]),
  });
  addIncidents(program, done);
}

function addPs(program: Command, done: Done): void {
  const command = program
    .command('ps')
    .description('every agent: state, uptime, restarts, turns, queue, heap, CPU, lag, reason')
    .argument('[agent...]', 'everything about these, with whole reasons and errors')
    .option(
      '--wide',
      'all columns, whole; else a terminal is given as many as fit, and cut reasons stand below',
      false,
    );
  addFleetOptions(command, 'a table')
    .addHelpText(
      'after',
      fleetHelp(
        [
          ['ps', 'all agents'],
          ['ps coder', 'one, in all detail'],
          ['ps --wide | less -S', 'every column'],
          [`ps --json | jq -r 'select(.state != "running").id'`, 'what does not run'],
        ],
        PS_COLUMNS,
      ),
    )
    .action((agents: string[], options: Omit<PsOptions, 'agents'>) =>
      done({ kind: 'ps', options: { ...options, agents } }),
    );
}

const PS_COLUMNS = `Columns:
  up        since it was ready        run     turns that run now
  restarts  starts after the first    queue   turns that wait
  hangs     times it gave no sign     done    turns ended well since its start
  heap      memory of JavaScript      failed  turns that failed, were cancelled or cut off
  cpu       of one core               lag     how late its event loop was at last`;

function addTop(program: Command, done: Done): void {
  const command = program
    .command('top')
    .description('the same on a full screen, live: sort, filter, look at one agent, restart or stop it');
  addFleetOptions(command, 'a screen; as JSON there is `ps --json`')
    .addHelpText(
      'after',
      fleetHelp(
        [
          ['top', 'the fleet that runs'],
          ['top --fleet 4711', 'of several the one of this host process'],
        ],
        TOP_KEYS,
      ),
    )
    .action((options: FleetOptions) => done({ kind: 'top', options }));
}

const TOP_KEYS = `Keys:
  arrows, Page Up/Down, Home, End   select an agent     Enter    its details on or off
  r s R                             restart, stop or start, release the selected one
  i t c h l e a u                   sort by id, state, cpu, heap, lag, queue, restarts, uptime; again: turned round
  /                                 filter by words     ?  q     all keys explained, quit
A fleet that ends is waited for. Without a terminal there is nothing to paint on: use ps.`;

interface Tail {
  readonly kind: 'logs' | 'events';
  readonly description: string;
  readonly linesMax: number;
  readonly help: string;
}

function addTail(program: Command, done: Done, { kind, description, linesMax, help }: Tail): void {
  type Parsed = FleetOptions & {
    readonly agent?: readonly string[];
    readonly event?: string;
    readonly lines: number;
    readonly follow: boolean;
  };
  const command = program
    .command(kind)
    .description(description)
    .argument('[agent...]', 'these only, as --agent')
    .option('-f, --follow', 'go on with what happens, until Ctrl-C', false)
    .addOption(new Option('--agent <agents>', 'these only, separated by commas').argParser(parseIds))
    .option('--event <prefix>', 'only events whose name begins with this, such as turn.')
    .addOption(
      new Option('-n, --lines <number>', `how many of the newest, up to ${linesMax}`)
        .argParser(parseWholeNumber(0, linesMax))
        .default(100),
    );
  addFleetOptions(command, 'a line each')
    .addHelpText('after', help)
    .action((named: string[], { agent = [], ...rest }: Parsed) => {
      const options: TailOptions = { ...rest, agents: [...named, ...agent] };
      done({ kind, options });
    });
}

function addIncidents(program: Command, done: Done): void {
  const incidents = program
    .command('incidents')
    .description('hangs, stalls and quarantines that were written down, newest first')
    .enablePositionalOptions() // `--json` may stand on either side of `show`, and means that one
    .usage('[options]\n       openagent-supervisor incidents show [options] <agent> <name>')
    .addOption(new Option('--agent <agents>', 'these only, separated by commas').argParser(parseIds))
    .addOption(
      new Option('-n, --lines <number>', 'how many of the newest, up to 1000')
        .argParser(parseWholeNumber(1, EVENTS_MAX))
        .default(50),
    );
  const examples = [
    ['incidents', 'what was written down, of all agents'],
    ['incidents --agent coder', 'of one'],
    ['incidents show coder 2026-01-31T12-00-00.000Z', 'stack, activities, output and log of that one'],
  ] as const;
  addFleetOptions(incidents, 'a table')
    .addHelpText('after', fleetHelp(examples))
    .action(({ agent = [], ...rest }: FleetOptions & { agent?: readonly string[]; lines: number }) =>
      done({ kind: 'incidents', options: { ...rest, agents: agent } }),
    );
  const show = incidents
    .command('show')
    .description('one incident, whole: stack, activities, output, log')
    .argument('<agent>', 'whose it is')
    .argument('<name>', 'as `incidents` lists it');
  addFleetOptions(show, 'for people')
    .addHelpText('after', fleetHelp([examples[2]]))
    .action((agent: string, name: string, options: FleetOptions) =>
      done({ kind: 'incident', options: { ...options, agent, name } }),
    );
}
