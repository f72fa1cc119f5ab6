/** Breaks a line between words only: a path or a command that is copied must be whole, whatever its length. */
import { textWidth } from './terminal-text.ts';

/** `width` undefined: not at all. `indent`: what stands before each line but the first. */
export function wrapWords(text: string, width: number | undefined, indent: string): readonly string[] {
  if (width === undefined) return [text];
  const lines: string[] = [];
  const [start = ''] = /^ *\S*/.exec(text) ?? [];
  let line = start;
  for (const word of text.slice(start.length).split(' ').slice(1)) {
    if (textWidth(`${line} ${word}`) > width) {
      lines.push(line);
      line = indent + word;
    } else line = `${line} ${word}`;
  }
  return [...lines, line];
}
