/** A command with a slip in it would otherwise be the name of a directory, which is made and run beside the real fleet. */
import { closest, distance } from 'fastest-levenshtein';
import { createProgram } from './program.ts';

const LONG_WORD_CHARS = 6;

/** The command that was probably meant; undefined: it is a directory's name, as good as any. */
export function meantCommand(word: string): string | undefined {
  if (!/^[a-z]+$/i.test(word)) return undefined;
  const { commands } = createProgram('', () => {}, { commands: true });
  const near = closest(
    word,
    commands.map((command) => command.name()),
  );
  if (near[0] !== word[0]) return undefined; // `agents` is no `events`
  return distance(word, near) <= (word.length >= LONG_WORD_CHARS ? 2 : 1) ? near : undefined;
}
