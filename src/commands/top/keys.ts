/** Keys by name, as Node's own reader of terminals tells them: it knows what each kind of terminal sends. */
import { emitKeypressEvents, type Interface, type Key } from 'node:readline';

/** A lone Esc looks like the beginning of another key; what belongs to one comes at once. */
const ESCAPE_MS = 50;

const NAMES: Readonly<Record<string, string>> = {
  ...{ up: 'up', down: 'down', pageup: 'pageup', pagedown: 'pagedown', home: 'home', end: 'end' },
  ...{ return: 'enter', enter: 'enter', escape: 'escape', backspace: 'backspace', delete: 'backspace' },
};

/** Until what it gives back is called. */
export function readKeys(stdin: NodeJS.ReadStream, press: (key: string) => void): () => void {
  const listener = (text: string | undefined, key: Key): void => {
    const name = keyName(text, key);
    if (name !== undefined) press(name);
  };
  // All that is asked of the second one is this number.
  emitKeypressEvents(stdin, { escapeCodeTimeout: ESCAPE_MS } as unknown as Interface);
  stdin.on('keypress', listener);
  stdin.setRawMode(true);
  stdin.resume();
  return () => {
    stdin.off('keypress', listener);
    stdin.pause();
  };
}

/** A character, or the name of a key that has none; undefined: means nothing here. */
export function keyName(text: string | undefined, { name, ctrl, meta }: Key): string | undefined {
  if (ctrl && name !== undefined) return `ctrl-${name}`;
  const named = name === undefined ? undefined : NAMES[name];
  if (named !== undefined) return named;
  // With Alt it must not be taken for the key alone.
  if (meta || text === undefined || text.length === 0) return undefined;
  return /^\P{C}$/u.test(text) ? text : undefined;
}
