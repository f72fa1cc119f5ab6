/** `validate`: a gateway is checked from outside. */
import { type Command, Option } from 'commander';
import { AREAS, type Area } from '../../validate/areas.ts';
import type { Done } from './command-line.ts';
import { parseAreas, parseSeconds, parseToken, parseUrl } from './option-values.ts';

export interface ValidateOptions {
  readonly token?: string;
  readonly tokenFile?: string;
  readonly json: boolean;
  readonly all: boolean;
  readonly messages: boolean;
  readonly only?: readonly Area[];
  readonly timeoutSeconds: number;
}

export function addValidate(program: Command, done: Done): void {
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
