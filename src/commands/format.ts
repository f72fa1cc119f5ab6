/** Figures as people read them, the same in every command: short, with their unit, and `-` where there is none. */
import prettyBytes from 'pretty-bytes';

export const NONE = '-';

export function formatBytes(bytes: number | null): string {
  return bytes === null ? NONE : prettyBytes(bytes);
}

/** `12.3`, without the sign: it stands in the head of the column. */
export function formatPercent(percent: number | null): string {
  if (percent === null) return NONE;
  return percent < 99.95 ? percent.toFixed(1) : String(Math.round(percent));
}

export function formatMs(ms: number | null): string {
  if (ms === null) return NONE;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 99_950) return `${(ms / 1000).toFixed(1)} s`;
  return formatDuration(ms / 1000);
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The two greatest units of it; above a hundred days the days alone. */
export function formatDuration(seconds: number | null): string {
  if (seconds === null) return NONE;
  const whole = Math.floor(seconds);
  if (whole < MINUTE) return `${whole}s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)}m ${whole % MINUTE}s`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)}h ${Math.floor((whole % HOUR) / MINUTE)}m`;
  const days = Math.floor(whole / DAY);
  return days < 100 ? `${days}d ${Math.floor((whole % DAY) / HOUR)}h` : `${days}d`;
}

/** At most five characters: `12345`, `123k`, `1.2M`. */
export function formatCount(count: number | null): string {
  if (count === null) return NONE;
  if (count < 100_000) return String(count);
  if (count < 999_500) return `${Math.round(count / 1000)}k`;
  return `${(count / 1_000_000).toFixed(count < 99_950_000 ? 1 : 0)}M`;
}
