/** Answers a shell that completes a command line: the commands' own words, and what a running fleet knows. */
import type { CommandContext } from '../../commands/command-context.ts';
import { agentNames, fleetNames } from '../../commands/completion/live-names.ts';
import { type Candidate, type Completions, completionsOf } from './candidates.ts';
import { createProgram } from './program.ts';

/** A shell shows it in a line. */
const DESCRIPTION_CHARS = 60;

export async function runComplete(
  { words }: { readonly words: readonly string[] },
  context: CommandContext,
): Promise<number> {
  const isRun = words.length > 1 && words[0] === 'run';
  const program = createProgram(context.version, () => {}, { commands: !isRun });
  const completions = completionsOf(program, isRun ? words.slice(1) : words);
  const { candidates, wanted, prefix, named } = completions;
  const names = (await namesOf(completions, context)).filter(({ value }) => !named.includes(value));
  const all = [...candidates, ...names.map((each) => ({ ...each, value: prefix + each.value }))];
  const current = words.at(-1) ?? '';
  const lines = all.filter(({ value }) => value.startsWith(current) && isOneLine(value)).map(lineOf);
  const rest = wanted === 'files' || wanted === 'directories' ? wanted : 'nothing';
  context.out.write([...lines, `:${rest}`, ''].join('\n'));
  return 0;
}

function namesOf({ wanted, fleet }: Completions, context: CommandContext): Promise<readonly Candidate[]> {
  if (wanted === 'agents') return agentNames(fleet, context);
  return wanted === 'fleets' ? fleetNames(context) : Promise.resolve([]);
}

/** Shells take the answer apart at these; such an id has to be typed. */
function isOneLine(value: string): boolean {
  return !/\p{Cc}/u.test(value) && !value.startsWith(':');
}

function lineOf({ value, description }: Candidate): string {
  const [first = ''] = description.split('\n');
  const short = first.length > DESCRIPTION_CHARS ? `${first.slice(0, DESCRIPTION_CHARS - 1)}…` : first;
  return short === '' ? value : `${value}\t${short.replaceAll('\t', ' ')}`;
}
