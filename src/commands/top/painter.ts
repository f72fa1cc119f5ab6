/**
 * Between ink and the terminal: ink hands over whole frames, and only the lines that changed are written, each at its
 * place. ink's own way of writing counts on where it left the cursor (one line from elsewhere, or a smaller window, and
 * all is one off), and once a frame fills the screen it clears all of it each time, which flickers.
 */
import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { textWidth } from '../terminal-text.ts';
import type { ScreenSize } from './layout.ts';

export interface Painter {
  /** What ink takes for its terminal. */
  readonly stream: NodeJS.WriteStream;
  /** For the frames to come. */
  resize(size: ScreenSize): void;
  /** All of it: after something else wrote on the screen, or what was there was moved. */
  repaint(): void;
}

/** Terminals that know them show what comes between at once. */
const BEGIN = '\x1b[?2026h';
const END = '\x1b[?2026l';
const CLEAR = '\x1b[2J';
const ERASE_REST = '\x1b[K';

export function createPainter(write: (text: string) => unknown, initialSize: ScreenSize): Painter {
  let size = initialSize;
  let painted: readonly string[] = [];
  let frame: readonly string[] = [];

  const paint = (): void => {
    const isNew = painted.length === 0;
    const lines = Array.from({ length: size.rows }, (_, at) => frame[at] ?? '');
    const changed = lines.flatMap((line, at) => (line === painted[at] ? [] : lineAt(line, at, size.columns)));
    painted = lines;
    if (changed.length > 0) write(BEGIN + (isNew ? CLEAR : '') + changed.join('') + END);
  };
  const stream = Object.assign(
    new Writable({
      decodeStrings: false,
      write(chunk: string, _encoding, done) {
        // Empty: only to learn when all before it is written.
        if (chunk !== '') {
          frame = chunk.split('\n');
          paint();
        }
        done();
      },
    }),
    { columns: size.columns, rows: size.rows },
  );
  return {
    stream: stream as unknown as NodeJS.WriteStream,
    resize(next) {
      size = next;
      painted = [];
      // ink looks at it with each frame.
      Object.assign(stream, size);
    },
    repaint() {
      painted = [];
      paint();
    },
  };
}

/** A full line leaves the cursor on its last character: erasing from there would take that away. */
function lineAt(line: string, at: number, columns: number): string {
  const isFull = textWidth(stripVTControlCharacters(line)) >= columns;
  return `\x1b[${at + 1};1H${line}${isFull ? '' : ERASE_REST}`;
}
