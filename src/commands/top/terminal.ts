/**
 * The user's terminal while `top` has it: the alternate screen, no cursor, no wrapping. Whatever ends the process, all
 * of it is given back, and what it has to say on its way out is said on the screen that stays.
 */
import type { ScreenSize } from './layout.ts';

const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H';
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';

/** Of a terminal that does not say its size. */
const COLUMNS_DEFAULT = 80;
const ROWS_DEFAULT = 24;

export interface OpenTerminal {
  size(): ScreenSize;
  /** Another size, or the shell has had the screen meanwhile. */
  onChange(listener: () => void): void;
  write(text: string): void;
  /** As Ctrl-Z does where nobody reads it as a key; goes on with the shell's `fg`. */
  suspend(): void;
  close(): void;
}

export interface TerminalStreams {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
}

export function isTerminal({ stdin, stdout }: TerminalStreams, term: string | undefined): boolean {
  return stdin.isTTY === true && stdout.isTTY === true && term !== 'dumb';
}

export function openTerminal({ stdin, stdout }: TerminalStreams): OpenTerminal {
  let isOpen = true;
  const undo: (() => void)[] = [];
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    for (const step of undo) step();
    // One that is gone answers with an error, which says nothing new.
    if (stdin.isTTY && !stdin.destroyed) stdin.setRawMode(false);
    stdout.write(LEAVE);
  };
  const listen = (
    target: NodeJS.EventEmitter,
    event: string,
    listener: (...args: unknown[]) => void,
  ): void => {
    target.on(event, listener);
    undo.push(() => void target.off(event, listener));
  };
  // Before Node prints the stack of what nobody caught; and on every `process.exit`.
  listen(process, 'uncaughtExceptionMonitor', close);
  listen(process, 'exit', close);
  const enter = (): void => void stdout.write(ENTER);
  enter();
  return {
    size: () => ({ columns: stdout.columns || COLUMNS_DEFAULT, rows: stdout.rows || ROWS_DEFAULT }),
    onChange(listener) {
      listen(stdout, 'resize', listener);
      listen(process, 'SIGCONT', () => {
        // The shell has set its own mode, of which this process knows nothing.
        stdin.setRawMode(false);
        stdin.setRawMode(true);
        enter();
        listener();
      });
    },
    write(text) {
      if (isOpen) stdout.write(text);
    },
    suspend() {
      stdin.setRawMode(false);
      stdout.write(LEAVE);
      // Its whole job, as the terminal would.
      process.kill(0, 'SIGTSTP');
    },
    close,
  };
}
