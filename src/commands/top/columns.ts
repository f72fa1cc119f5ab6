/** The columns of the table: what stands in each, how it is sorted, explained, and which ones a narrow terminal loses. */
import type { FleetAgent } from '../../contract/fleet/schemas.ts';
import { formatBytes, formatCount, formatDuration, formatMs, formatPercent, NONE } from '../format.ts';
import { lineText } from '../terminal-text.ts';
import { severityOf, styleOfState } from './state-look.ts';
import type { Style } from './style.ts';

export const SORT_KEYS = ['id', 'state', 'cpu', 'heap', 'lag', 'queue', 'restarts', 'uptime'] as const;
export type SortKey = (typeof SORT_KEYS)[number];

export type ColumnName = SortKey | 'turns' | 'port' | 'problem' | 'model';

export interface Column {
  readonly name: ColumnName;
  readonly head: string;
  readonly align: 'left' | 'right';
  /** Of a column that takes what is left: at least this much. */
  readonly width: number;
  /** The least is left out first. */
  readonly rank: number;
  readonly text: (agent: FleetAgent) => string;
  readonly style?: (agent: FleetAgent) => Style;
  readonly meaning: string;
}

/** What a column is sorted by. */
export interface Sorting {
  /** The letter of the head that is pressed for it. */
  readonly key: string;
  /** Figures: the greatest first. */
  readonly descending: boolean;
  readonly value: (agent: FleetAgent) => string | number | null;
}

const LAG_HIGH_MS = 100;
const LAG_BAD_MS = 1_000;
const CPU_HIGH_PERCENT = 90;

export const COLUMNS: readonly Column[] = [
  {
    name: 'id',
    head: 'ID',
    align: 'left',
    width: 20,
    rank: 100,
    text: ({ id }) => lineText(id),
    style: () => ({ bold: true }),
    meaning: 'name of its directory',
  },
  {
    name: 'state',
    head: 'STATE',
    align: 'left',
    width: 11,
    rank: 99,
    text: ({ state }) => state,
    style: ({ state }) => styleOfState(state),
    meaning: 'the worst first',
  },
  {
    name: 'cpu',
    head: 'CPU%',
    align: 'right',
    width: 5,
    rank: 90,
    text: ({ cpu_percent }) => formatPercent(cpu_percent),
    style: ({ cpu_percent }) => (cpu_percent !== null && cpu_percent >= CPU_HIGH_PERCENT ? HIGH : PLAIN),
    meaning: 'of one core',
  },
  {
    name: 'heap',
    head: 'HEAP',
    align: 'right',
    width: 7,
    rank: 85,
    text: ({ heap_bytes }) => formatBytes(heap_bytes),
    meaning: "JavaScript's memory",
  },
  {
    name: 'lag',
    head: 'LAG',
    align: 'right',
    width: 6,
    rank: 75,
    text: (agent) => formatMs(lagOf(agent)),
    style: (agent) => lagStyle(lagOf(agent) ?? 0),
    meaning: 'how late its event loop is',
  },
  {
    name: 'queue',
    head: 'QUEUE',
    align: 'right',
    width: 5,
    rank: 82,
    text: ({ turns }) => formatCount(turns?.waiting ?? null),
    meaning: 'turns that wait',
  },
  {
    name: 'restarts',
    head: 'RESTARTS',
    align: 'right',
    width: 8,
    rank: 80,
    text: ({ restarts }) => formatCount(restarts),
    meaning: 'starts after the first',
  },
  {
    name: 'uptime',
    head: 'UPTIME',
    align: 'right',
    width: 7,
    rank: 70,
    text: ({ uptime_seconds }) => formatDuration(uptime_seconds),
    meaning: 'since it was ready',
  },
  {
    name: 'turns',
    head: 'TURNS',
    align: 'right',
    width: 5,
    rank: 50,
    text: ({ turns }) =>
      formatCount(turns && turns.done + turns.failed + turns.cancelled + turns.interrupted),
    meaning: 'turns ended since its start',
  },
  {
    name: 'port',
    head: 'PORT',
    align: 'right',
    width: 5,
    rank: 40,
    text: ({ port }) => (port === null ? NONE : String(port)),
    meaning: 'where it listens',
  },
  {
    name: 'model',
    head: 'MODEL',
    align: 'left',
    width: 20,
    rank: 20,
    text: ({ model }) => lineText(model ?? NONE),
    meaning: 'what answers',
  },
  {
    name: 'problem',
    head: 'PROBLEM',
    align: 'left',
    width: 24,
    rank: 60,
    text: (agent) => lineText(problemOf(agent) ?? ''),
    style: ({ state }) => (state === 'running' ? DIM : PLAIN),
    meaning: 'reason, or last error',
  },
];

const PLAIN: Style = {};
const DIM: Style = { dim: true };
const HIGH: Style = { color: 'yellow' };

/** Of one that gives no sign of life it is at least as long as that; what it told at last says nothing any more. */
function lagOf({ state, lag_ms, silent_ms }: FleetAgent): number | null {
  const isSilent = state === 'hung' || state === 'stalled' || state === 'wedged';
  return isSilent ? (silent_ms ?? lag_ms) : lag_ms;
}

function lagStyle(lagMs: number): Style {
  if (lagMs >= LAG_BAD_MS) return { color: 'red' };
  return lagMs >= LAG_HIGH_MS ? HIGH : PLAIN;
}

/** The one thing to know of it, newest first: why it does not run, what hot reload refused, what failed last. */
function problemOf({ reason, config, last_error }: FleetAgent): string | undefined {
  return (reason ?? config.problem ?? last_error)?.message;
}

export const SORTINGS: Readonly<Record<SortKey, Sorting>> = {
  id: { key: 'i', descending: false, value: ({ id }) => id },
  state: { key: 't', descending: false, value: ({ state }) => severityOf(state) },
  cpu: { key: 'c', descending: true, value: ({ cpu_percent }) => cpu_percent },
  heap: { key: 'h', descending: true, value: ({ heap_bytes }) => heap_bytes },
  lag: { key: 'l', descending: true, value: lagOf },
  queue: { key: 'e', descending: true, value: ({ turns }) => turns?.waiting ?? null },
  restarts: { key: 'a', descending: true, value: ({ restarts }) => restarts },
  uptime: { key: 'u', descending: true, value: ({ uptime_seconds }) => uptime_seconds },
};

export function sortKeyOf(pressed: string): SortKey | undefined {
  return SORT_KEYS.find((name) => SORTINGS[name].key === pressed);
}

export function isSortKey(name: ColumnName): name is SortKey {
  return name in SORTINGS;
}
