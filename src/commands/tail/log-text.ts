/** One log entry as a line for people: when, whose, what, and its fields. */
import { type Colors, paintAgent } from '../colors.ts';
import { fitText, lineText, textWidth } from '../terminal-text.ts';
import type { LogEntry } from './log-overlap.ts';

const AGENT_COLUMNS_MAX = 24;
const EVENT_COLUMNS = 18;

/** Grows with the ids it has seen, so that what follows stands below each other. */
export function createLogText(colors: Colors, wallMs: () => number): (entry: LogEntry) => string {
  let agentColumns = 0;
  return ({ agent, ts, event, level, ...fields }) => {
    const id = lineText(agent);
    agentColumns = Math.min(AGENT_COLUMNS_MAX, Math.max(agentColumns, textWidth(id)));
    const name = paintAgent(agent, fitText(id, agentColumns), colors);
    const what = paintLevel(level, fitEvent(lineText(event)), colors);
    return `${colors.dim(timeText(ts, wallMs()))}  ${name}  ${what}  ${fieldsText(fields)}`.trimEnd();
  };
}

/** A longer one is not cut. */
function fitEvent(event: string): string {
  return event.padEnd(EVENT_COLUMNS);
}

function paintLevel(level: unknown, text: string, colors: Colors): string {
  if (level === 'error') return colors.red(text);
  return level === 'warn' ? colors.yellow(text) : text;
}

/** The reader's own time; with the date where it is not today's. */
export function timeText(seconds: number, nowMs: number): string {
  const time = new Date(seconds * 1000);
  if (Number.isNaN(time.getTime())) return '(no time)';
  const [date, clock] = time.toLocaleString('sv-SE').split(' ');
  const [today] = new Date(nowMs).toLocaleString('sv-SE').split(' ');
  const exact = `${clock}.${String(time.getMilliseconds()).padStart(3, '0')}`;
  return date === today ? exact : `${date} ${exact}`;
}

function fieldsText(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([name, value]) => lineText(`${name}=${valueText(value)}`))
    .join(' ');
}

/** Of an error its message: stacks are in the file, and in `--json`. */
function valueText(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'message' in value) return valueText(value.message);
  if (typeof value !== 'string') return JSON.stringify(value) ?? '';
  return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
