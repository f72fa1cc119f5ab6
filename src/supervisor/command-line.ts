/**
 * What may be typed after `openagent-supervisor`, and the help that teaches it. Parsing touches neither files nor
 * the process: it says what to do (`run`, `init`, `validate`) or what to print before exiting, so every line can be tested.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { Isolation, LogLevel, TransportChoice } from '../contract/worker-protocol.ts';
import { ISOLATIONS, LOG_LEVELS, TRANSPORTS } from '../contract/worker-protocol.ts';
import { AREAS, type Area } from '../validate/areas.ts';
import { EXIT_CODES } from './exit-codes.ts';

const PORT_MAX = 65_535;
const SECONDS_MAX = 600;

export interface RunOptions {
  readonly host?: string;
  readonly port?: number;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly transport?: TransportChoice;
  readonly isolation?: Isolation;
  readonly logLevel?: LogLevel;
  readonly json: boolean;
  /** False: this process is the host itself, and whoever started it watches it. */
  readonly watchdog: boolean;
}

export interface ValidateOptions {
  readonly token?: string;
  readonly tokenFile?: string;
  readonly json: boolean;
  readonly all: boolean;
  readonly messages: boolean;
  readonly only?: readonly Area[];
  readonly timeoutSeconds: number;
}

export type CommandLine =
  | { readonly kind: 'run'; readonly dirs: readonly string[]; readonly options: RunOptions }
  | { readonly kind: 'init'; readonly dirs: readonly string[] }
  | { readonly kind: 'validate'; readonly url: URL; readonly options: ValidateOptions }
  /** Nothing to do but print: help, version, or what is wrong. */
  | {
      readonly kind: 'print';
      readonly exitCode: 0 | 2;
      readonly stdout: string;
      readonly stderr: string;
    };

export function parseCommandLine(args: readonly string[], version: string): CommandLine {
  const printed = { stdout: '', stderr: '' };
  let parsed: CommandLine | undefined;
  const program = createProgram(version, (result) => {
    parsed = result;
  });
  for (const command of [program, ...program.commands]) {
    command.configureOutput({
      writeOut: (text) => {
        printed.stdout += text;
      },
      writeErr: (text) => {
        printed.stderr += text;
      },
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
    command.exitOverride();
  }
  try {
    // `run` is what happens anyway; saying it must not make a directory of that name.
    program.parse(args[0] === 'run' ? args.slice(1) : [...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { kind: 'print', exitCode: error.exitCode === 0 ? 0 : EXIT_CODES.usage.code, ...printed };
  }
  if (parsed === undefined) throw new Error('The command line was parsed without a result');
  return parsed;
}

function createProgram(version: string, done: (result: CommandLine) => void): Command {
  const program = new Command('openagent-supervisor')
    .description('Runs many LLM agents on one machine, each in its own thread or process.')
    .usage(
      '[options] <dir>...\n       openagent-supervisor init <dir>...\n       openagent-supervisor validate [options] <url>',
    )
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .enablePositionalOptions() // else `init` would swallow options that mean nothing to it
    .showHelpAfterError('\nTry: openagent-supervisor --help')
    .argument('[dir...]', 'agent directories; files among them are ignored, missing ones are created');
  for (const option of runOptions()) program.addOption(option);
  program.addHelpText('after', HELP).action((dirs: string[], options: RunOptions) => {
    if (dirs.length === 0) program.error(`error: no agent directory given\n${EXAMPLES}`);
    done({ kind: 'run', dirs, options });
  });
  program
    .command('init')
    .description('create agent directories: openagent.yaml, memories/, logs/')
    .argument('<dir...>', 'directories to create')
    .action((dirs: string[]) => done({ kind: 'init', dirs }));
  addValidate(program, done);
  return program;
}

function addValidate(program: Command, done: (result: CommandLine) => void): void {
  const command = program
    .command('validate')
    .description('check a running gateway from outside: every route and frame, without changing the agent')
    .argument('<url>', 'the gateway, such as http://127.0.0.1:8765', parseUrl)
    .addHelpText('after', VALIDATE_HELP);
  for (const option of validateOptions()) command.addOption(option);
  command.action((url: URL, { timeout, ...options }: ValidateOptions & { timeout: number }) =>
    done({ kind: 'validate', url, options: { ...options, timeoutSeconds: timeout } }),
  );
}

function validateOptions(): readonly Option[] {
  return [
    new Option('--token-file <file>', 'file whose content is the token the gateway asks for').conflicts(
      'token',
    ),
    new Option(
      '--token <token>',
      'the same on the command line, which every user of this machine can read',
    ).argParser(parseToken),
    new Option('--all', 'also what changes or interrupts the agent').default(false, 'no'),
    new Option('--only <parts>', `only these, separated by commas: ${AREAS.join(', ')}`).argParser(
      parseAreas,
    ),
    new Option('--no-messages', 'nothing that makes the model answer'),
    new Option('--timeout <seconds>', 'how long an answer may take; one of the model six times that')
      .argParser(parseSeconds)
      .default(10),
    new Option('--json', 'one JSON object a line on stdout').default(false, 'a table for people'),
  ];
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
    new Option('--json', 'report one JSON object a line on stdout').default(false, 'a report for people'),
    new Option('--no-watchdog', 'one process that nobody starts again: for systemd and containers'),
  ];
}

function parseHost(value: string): string {
  if (value.trim() === '' || /[\s/]/.test(value)) {
    throw new InvalidArgumentError('Expected a host name or an IP address, such as 127.0.0.1 or ::1.');
  }
  return value;
}

function parsePort(value: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : Number.NaN;
  if (!(port <= PORT_MAX)) throw new InvalidArgumentError(`Expected a whole number from 0 to ${PORT_MAX}.`);
  return port;
}

/** `host:port`, and the address of the WebSocket, mean the same gateway. */
function parseUrl(value: string): URL {
  const text = /^[a-z]+:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text.replace(/^ws/i, 'http')) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || !/^\/(ws\/?)?$/.test(url.pathname)) {
    throw new InvalidArgumentError('Expected the address of a gateway, such as http://127.0.0.1:8765.');
  }
  if (url.username !== '' || url.search !== '') {
    throw new InvalidArgumentError(
      'Expected an address without credentials; a token has an option of its own.',
    );
  }
  return new URL(url.origin);
}

function parseAreas(value: string): readonly Area[] {
  return value.split(',').map((word) => {
    const area = AREAS.find((each) => each === word.trim());
    if (area === undefined) throw new InvalidArgumentError(`Expected some of ${AREAS.join(', ')}.`);
    return area;
  });
}

function parseSeconds(value: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
  if (!(seconds > 0 && seconds <= SECONDS_MAX)) {
    throw new InvalidArgumentError(`Expected a number of seconds above 0, up to ${SECONDS_MAX}.`);
  }
  return seconds;
}

function parseToken(value: string): string {
  if (!/^\S+$/.test(value)) throw new InvalidArgumentError('Expected a token without spaces.');
  return value;
}

const EXAMPLES = `
Examples:
  openagent-supervisor agents/*                 every directory in agents/
  openagent-supervisor ./my-agent               made first if it does not exist
  openagent-supervisor --port 9000 --json a b   two agents, one event a line on stdout
  openagent-supervisor init ./my-agent          make a directory without starting it
  openagent-supervisor validate localhost:8765  check what answers there, from outside`;

const VALIDATE_HELP = `
Sends what clients send, right and wrong, and compares the answers with the protocol. It writes notes in a folder of
its own, which it removes, uploads a few small files and has a few short conversations. --all also writes the
configuration back as it was read, begins a new log and restarts the agent. Gateways of OpenAgent 0.5.16 are measured by
their own protocol.

OPENAGENT_WS_TOKEN is the token where no option gives one.

Exit codes:
  0    every check passed or was skipped
  1    some checks failed
  2    the command line is wrong, or nobody answers
  128+n  ended by signal n; what was made is removed all the same
`;

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
