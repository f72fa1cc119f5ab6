/**
 * What may come next on a half typed command line, read off the commands as commander knows them: so completion has
 * every command and option, and no other.
 */
import type { Argument, Command, Option } from 'commander';

export interface Candidate {
  readonly value: string;
  readonly description: string;
}

/** Besides the candidates: names that only a running fleet or the disk knows. */
export type Wanted = 'agents' | 'fleets' | 'files' | 'directories' | 'nothing';

export interface Completions {
  readonly candidates: readonly Candidate[];
  readonly wanted: Wanted;
  /** Put before each name: of `--agent=a,` or `a,` the part that stays. */
  readonly prefix: string;
  /** The value of `--fleet` on this line. */
  readonly fleet: string | undefined;
  /** What was named already: it makes no sense twice. */
  readonly named: readonly string[];
}

interface Reached {
  readonly command: Command;
  readonly operands: readonly string[];
  /** The option that waits for its value. */
  readonly pending: Option | undefined;
  readonly fleet: string | undefined;
  readonly isOptionsOver: boolean;
}

/** `words`: after the program's name; the last one is being typed, and may be empty. */
export function completionsOf(program: Command, words: readonly string[]): Completions {
  const current = words.at(-1) ?? '';
  const reached = walk(program, words.slice(0, -1));
  const { command, pending, operands, fleet, isOptionsOver } = reached;
  const base = { fleet, prefix: '', named: [] as readonly string[] };
  if (pending !== undefined) return { ...base, ...valueCompletions(pending, current, '') };
  const assigned = isOptionsOver ? undefined : /^(--[\w-]+=)(.*)$/s.exec(current);
  if (assigned) {
    const option = optionOf(command, assigned[1]?.slice(0, -1) ?? '');
    if (option !== undefined)
      return { ...base, ...valueCompletions(option, assigned[2] ?? '', assigned[1] ?? '') };
  }
  if (current.startsWith('-') && !isOptionsOver) {
    return { ...base, candidates: optionsOf(command), wanted: 'nothing' };
  }
  const argument = argumentAt(command, operands.length);
  const isFirst = operands.length === 0;
  return {
    ...base,
    candidates: [...(isFirst ? commandsOf(command) : []), ...choicesOf(argument?.argChoices)],
    wanted: argument === undefined ? 'nothing' : wantedBy(argument.name()),
    named: operands,
  };
}

function walk(program: Command, words: readonly string[]): Reached {
  let reached: Reached = {
    command: program,
    operands: [],
    pending: undefined,
    fleet: undefined,
    isOptionsOver: false,
  };
  for (const word of words) reached = step(reached, word);
  return reached;
}

function step(reached: Reached, word: string): Reached {
  const { command, operands, pending, isOptionsOver } = reached;
  if (pending !== undefined) {
    const fleet = pending.long === '--fleet' ? word : reached.fleet;
    return { ...reached, pending: undefined, fleet };
  }
  if (word === '--') return { ...reached, isOptionsOver: true };
  if (word.startsWith('-') && !isOptionsOver) {
    const option = optionOf(command, word.split('=', 1)[0] ?? '');
    const takesNext = option !== undefined && (option.required || option.optional) && !word.includes('=');
    const fleet = word.startsWith('--fleet=') ? word.slice('--fleet='.length) : reached.fleet;
    return { ...reached, fleet, pending: takesNext ? option : undefined };
  }
  const next = operands.length === 0 ? command.commands.find((each) => each.name() === word) : undefined;
  if (next !== undefined && !isOptionsOver) return { ...reached, command: next };
  return { ...reached, operands: [...operands, word] };
}

function optionOf(command: Command, flag: string): Option | undefined {
  return visibleOptions(command).find(({ long, short }) => long === flag || short === flag);
}

function visibleOptions(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

function optionsOf(command: Command): readonly Candidate[] {
  return visibleOptions(command).flatMap(({ long, description }) =>
    long ? [{ value: long, description }] : [],
  );
}

function commandsOf(command: Command): readonly Candidate[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((each) => ({ value: each.name(), description: each.description() }));
}

function argumentAt({ registeredArguments }: Command, at: number): Argument | undefined {
  const last = registeredArguments.at(-1);
  return registeredArguments[at] ?? (last?.variadic ? last : undefined);
}

function choicesOf(choices: readonly string[] | undefined): readonly Candidate[] {
  return (choices ?? []).map((value) => ({ value, description: '' }));
}

/** Of a list the part before the last comma stays, and what is in it is not offered again. */
function valueCompletions(
  option: Option,
  current: string,
  assigned: string,
): Pick<Completions, 'candidates' | 'wanted' | 'prefix' | 'named'> {
  const wanted = wantedBy(/<(.+)>|\[(.+)\]/.exec(option.flags)?.[1] ?? '');
  const list = wanted === 'agents' ? current.slice(0, current.lastIndexOf(',') + 1) : '';
  return {
    candidates: choicesOf(option.argChoices).map((each) => ({ ...each, value: assigned + each.value })),
    wanted,
    prefix: assigned + list,
    named: list.split(','),
  };
}

/** By the names that arguments and values have in the help. */
function wantedBy(name: string): Wanted {
  switch (name) {
    case 'agent':
    case 'agents':
      return 'agents';
    case 'pid|socket':
      return 'fleets';
    case 'dir':
      return 'directories';
    case 'file':
    case 'agent-or-dir':
      return 'files';
    default:
      return 'nothing';
  }
}
