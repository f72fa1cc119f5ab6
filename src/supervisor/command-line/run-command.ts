/** What the program does unless a command is named: it runs the directories it is given. */
import { type Command, Option } from 'commander';
import type { Isolation, LogLevel, TransportChoice } from '../../contract/worker-protocol.ts';
import { ISOLATIONS, LOG_LEVELS, TRANSPORTS } from '../../contract/worker-protocol.ts';
import { EXIT_CODES } from '../exit-codes.ts';
import type { Done } from './command-line.ts';
import { parseHost, parsePort, parseToken } from './option-values.ts';

export interface RunOptions {
  readonly host?: string;
  readonly port?: number;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly transport?: TransportChoice;
  readonly isolation?: Isolation;
  readonly logLevel?: LogLevel;
  /** Where the fleet's own gateway listens besides its socket; 0: any. */
  readonly fleetPort?: number;
  readonly json: boolean;
  /** False: a changed openagent.yaml is read at the next start of its agent, and not before. */
  readonly reload: boolean;
  /** False: this process is the host itself, and whoever started it watches it. */
  readonly watchdog: boolean;
}

/** Adds to the program itself, which needs no word for it, what running agents can be asked for. */
export function addRun(program: Command, done: Done): void {
  program
    .usage('[options] <dir>...\n       openagent-supervisor <command> [options]')
    .argument('[dir...]', 'agent directories; files among them are ignored, missing ones are created');
  for (const option of runOptions()) program.addOption(option);
  program.addHelpText('after', HELP).action((dirs: string[], options: RunOptions) => {
    if (dirs.length === 0) program.error(`error: no agent directory given\n${EXAMPLES}`);
    done({ kind: 'run', dirs, options });
  });
}

function runOptions(): readonly Option[] {
  return [
    new Option(
      '--host <address>',
      'address every agent binds (its openagent.yaml, else 127.0.0.1)',
    ).argParser(parseHost),
    new Option(
      '--port <number>',
      'port the search for a free one begins at, up to +99; 0: any (its openagent.yaml, else 8765)',
    ).argParser(parsePort),
    new Option('--token-file <file>', 'file whose content is the token every agent asks for').conflicts(
      'token',
    ),
    new Option(
      '--token <token>',
      'the same on the command line, which every user of this machine can read',
    ).argParser(parseToken),
    new Option('--transport <kind>', 'what serves HTTP and WebSocket (auto: uws where it loads)').choices(
      TRANSPORTS,
    ),
    new Option('--isolation <kind>', 'where an agent runs (its openagent.yaml, else thread)').choices(
      ISOLATIONS,
    ),
    new Option(
      '--log-level <level>',
      'least level of logs/events.jsonl (its openagent.yaml, else info)',
    ).choices(LOG_LEVELS),
    new Option(
      '--fleet-port <number>',
      'port on 127.0.0.1 for probes, metrics and tools, next free up to +99; 0: any (a unix socket only)',
    ).argParser(parsePort),
    new Option('--json', 'report one JSON object a line on stdout').default(false, 'a report for people'),
    new Option('--no-reload', 'a changed openagent.yaml waits for the next start of its agent'),
    new Option('--no-watchdog', 'one process that nobody starts again: for systemd and containers'),
  ];
}

const EXAMPLES = `
Examples:
  openagent-supervisor agents/*                 every directory in agents/
  openagent-supervisor ./my-agent               made first if it does not exist
  openagent-supervisor --port 9000 --json a b   two agents, one event a line on stdout
  openagent-supervisor run ps                   a directory that is called like a command; so does ./ps
  openagent-supervisor ps                       how the agents of the running fleet are
  openagent-supervisor logs -f --agent coder    what one of them does, as it happens
  openagent-supervisor restart coder            one agent alone, the others go on
  openagent-supervisor <command> --help         what a command can be asked for`;

const HELP = `${EXAMPLES}

An agent is a directory. Its base name is the agent's id, and must be unique:
  openagent.yaml     what it is: name, system_prompt, model, channels; \${VAR} and \${VAR:-default} are filled in
  openagent.db       what it must not lose: turns, sessions, usage
  memories/          its notes, plain Markdown
  logs/events.jsonl  what happened, one JSON object a line
  bridges/           your own modules, if any
  .port              the port it listens on now

Environment:
  OPENAGENT_WS_TOKEN  the token agents ask for where their openagent.yaml and the options above set none
  NO_COLOR            no colours in the report

Signals:
  Ctrl-C, SIGTERM, SIGHUP   agents finish running turns and stop
  a second one, at least a second later   everything is ended at once; accepted messages stay in the journal

Exit codes:
${Object.values(EXIT_CODES)
  .map(({ code, meaning }) => `  ${code}    ${meaning}`)
  .join('\n')}
  128+n  ended by signal n

Each running agent answers on its own port:
  curl http://127.0.0.1:8765/api/health
`;
