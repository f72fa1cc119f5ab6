/** The screen as ink and React draw it: a line each, drawn anew only when it changed. Keys go to the store. */
import { createElement, memo, type ReactNode, useCallback, useSyncExternalStore } from 'react';
import { keysOf } from './keys.ts';
import { screenLines } from './screen-lines.ts';
import { type Line, type Span, sameLine } from './style.ts';
import type { TopStore } from './top-store.ts';

/** Handed in: ink is an ES module that waits at its top level, which no bundle can hold. */
export type Ink = typeof import('ink');

export interface ScreenOptions {
  readonly ink: Ink;
  readonly store: TopStore;
  readonly stdin: NodeJS.ReadStream;
  /** Gets a whole frame with each write. */
  readonly stdout: NodeJS.WriteStream;
  readonly hasColors: boolean;
}

export interface Screen {
  /** Rejects with what went wrong while drawing. */
  readonly ended: Promise<unknown>;
  unmount(): void;
}

export function renderScreen({ ink, store, stdin, stdout, hasColors }: ScreenOptions): Screen {
  const LineView = memo(
    ({ line }: { readonly line: Line }) =>
      createElement(ink.Text, { wrap: 'truncate-end' }, ...spans(ink, line, hasColors)),
    (before, after) => sameLine(before.line, after.line),
  );
  const App = (): ReactNode => {
    const state = useSyncExternalStore(store.subscribe, store.state);
    ink.useInput(
      useCallback<Parameters<Ink['useInput']>[0]>((input, key) => store.press(keysOf(input, key)), []),
    );
    const lines = screenLines(state).map((line, at) => createElement(LineView, { key: at, line }));
    return createElement(ink.Box, { flexDirection: 'column', height: state.size.rows }, lines);
  };
  // `debug`: ink writes each frame whole and leaves it to the painter what of it is new.
  const instance = ink.render(createElement(App), {
    ...{ stdin, stdout, debug: true, exitOnCtrlC: false, patchConsole: false },
  });
  return { ended: instance.waitUntilExit(), unmount: instance.unmount };
}

/** A text of no character would have no height. */
function spans(ink: Ink, line: Line, hasColors: boolean): readonly ReactNode[] {
  if (line.every(({ text }) => text === '')) return [' '];
  return line.map((span, at) => spanView(ink, span, at, hasColors));
}

function spanView(
  ink: Ink,
  { text, color, bold, dim, underline, inverse }: Span,
  at: number,
  hasColors: boolean,
) {
  if (!(color || bold || dim || underline || inverse)) return text;
  const style = {
    ...(bold ? { bold } : {}),
    ...(dim ? { dimColor: dim } : {}),
    ...(underline ? { underline } : {}),
    ...(inverse ? { inverse } : {}),
    ...(color && hasColors ? { color } : {}),
  };
  return createElement(ink.Text, { key: at, ...style }, text);
}
