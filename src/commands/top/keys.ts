/**
 * Keys as a terminal sends them, by name. Several that come at once (typed fast, or held down over a slow line) are one
 * text; taken as one key they would be lost.
 */

/** What ink says of a key besides its characters; only what is used here. */
export interface KeyFlags {
  readonly upArrow: boolean;
  readonly downArrow: boolean;
  readonly pageUp: boolean;
  readonly pageDown: boolean;
  readonly home: boolean;
  readonly end: boolean;
  readonly return: boolean;
  readonly escape: boolean;
  readonly backspace: boolean;
  readonly delete: boolean;
  readonly ctrl: boolean;
  readonly meta: boolean;
}

export function keysOf(input: string, flags: KeyFlags): readonly string[] {
  const named = nameOf(flags);
  if (named !== undefined) return [named];
  if (flags.ctrl && /^[a-z]$/.test(input)) return [`ctrl-${input}`];
  // With Alt: means nothing here, and must not be taken for the key alone.
  if (flags.meta || flags.ctrl) return [];
  return [...input].flatMap(
    (character) => CONTROLS[character] ?? (/\p{Cc}/u.test(character) ? [] : character),
  );
}

function nameOf(flags: KeyFlags): string | undefined {
  if (flags.upArrow) return 'up';
  if (flags.downArrow) return 'down';
  if (flags.pageUp) return 'pageup';
  if (flags.pageDown) return 'pagedown';
  if (flags.home) return 'home';
  if (flags.end) return 'end';
  if (flags.return) return 'enter';
  if (flags.backspace || flags.delete) return 'backspace';
  return flags.escape ? 'escape' : undefined;
}

/** Within a text of several keys. */
const CONTROLS: Readonly<Record<string, string>> = {
  '\r': 'enter',
  '\n': 'enter',
  '\x7f': 'backspace',
  '\b': 'backspace',
  '\x03': 'ctrl-c',
  '\x0c': 'ctrl-l',
  '\x1a': 'ctrl-z',
};
