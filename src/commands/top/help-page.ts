/** The page behind `?`: every key, column and state, side by side where the terminal is wide enough. */
import { fitText, wrapText } from '../terminal-text.ts';
import { keyHints } from './agents-page.ts';
import { COLUMNS, SORT_KEYS, SORTINGS } from './columns.ts';
import { meaningOfState, STATES_WORST_FIRST, styleOfState } from './state-look.ts';
import { cutLine, type Line, type Style } from './style.ts';
import type { TopState } from './top-state.ts';

interface Entry {
  readonly label: string;
  readonly text: string;
  readonly style: Style;
}

const KEY_STYLE: Style = { bold: true, color: 'cyan' };

const KEYS: readonly Entry[] = (
  [
    ['\u{2191} \u{2193}  k j', 'select an agent'],
    ['PgUp PgDn', 'a page up, down'],
    ['Home End', 'the first, the last'],
    ['Enter', 'details on, off'],
    ['/', 'filter by words'],
    ['Esc', 'no filter'],
    ['r', 'restart the agent'],
    ['s', 'stop it, or start it'],
    ['R', 'release it'],
    ['Ctrl-L', 'paint anew'],
    ['q', 'quit'],
  ] as const
).map(([label, text]) => ({ label, text, style: KEY_STYLE }));

const STATES: readonly Entry[] = STATES_WORST_FIRST.map((state) => ({
  label: state,
  text: meaningOfState(state),
  style: styleOfState(state),
}));

const HEADS: readonly Entry[] = COLUMNS.map(({ head, meaning }) => ({
  label: head,
  text: meaning,
  style: { bold: true },
}));

const SORTING = 'Press the underlined letter of a head to sort by it, again to turn it round:';
const SORT_LETTERS = SORT_KEYS.map((name) => `${SORTINGS[name].key}=${name}`).join(' ');

const TWO_COLUMNS_MIN = 76;

export function helpPage({ size, helpFirst }: TopState): readonly Line[] {
  const { columns, rows } = size;
  const body = helpLines(columns);
  const room = Math.max(1, rows - 1);
  const first = Math.min(helpFirst, Math.max(0, body.length - room));
  const shown = body.slice(first, first + room);
  const blank = Array.from({ length: room - shown.length }, (): Line => []);
  const more = body.length > room ? [['\u{2191}\u{2193}', 'more'] as const] : [];
  const footer = keyHints([...more, ['any other key', 'back'], ['q', 'quit']]);
  return [...shown, ...blank, footer].map((line) => cutLine(line, columns));
}

function helpLines(columns: number): readonly Line[] {
  const heading = (text: string): Line => [{ text, bold: true, underline: true }];
  const sorting = [SORTING, SORT_LETTERS]
    .flatMap((text) => wrapText(text, columns))
    .map((text): Line => [{ text }]);
  if (columns < TWO_COLUMNS_MIN) {
    const list = (entries: readonly Entry[]): readonly Line[] =>
      entries.map((entry) => entryLine(entry, columns));
    const parts = [
      [heading('Keys'), ...list(KEYS)],
      [heading('States'), ...list(STATES)],
      [heading('Columns'), ...list(HEADS), ...sorting],
    ];
    return parts.flatMap((part, at) => (at === 0 ? part : [[], ...part]));
  }
  const half = Math.floor(columns / 2);
  const pair = (left: Line, right: Line): Line => [...left, ...right];
  const beside = (left: readonly Entry[], right: readonly Entry[]): readonly Line[] =>
    left.map((entry, at) => pair(entryLine(entry, half), right[at] ? entryLine(right[at], half) : []));
  const middle = Math.ceil(HEADS.length / 2);
  return [
    [
      { text: 'Keys', bold: true, underline: true },
      { text: ' '.repeat(half - 'Keys'.length) },
      ...heading('States'),
    ],
    ...beside(KEYS, STATES),
    [],
    heading('Columns'),
    ...beside(HEADS.slice(0, middle), HEADS.slice(middle)),
    ...sorting,
  ];
}

const LABEL_COLUMNS = 13;

function entryLine({ label, text, style }: Entry, columns: number): Line {
  return [
    { text: fitText(label, LABEL_COLUMNS - 2), ...style },
    { text: `  ${fitText(text, Math.max(1, columns - LABEL_COLUMNS))}` },
  ];
}
