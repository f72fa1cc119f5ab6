/** What a backup is at, on one line of a terminal that is written over; nothing where there is no terminal. */
import prettyBytes from 'pretty-bytes';
import type { OutputStream } from '../../commands/command-context.ts';
import { cutText, lineText } from '../../commands/terminal-text.ts';

export interface Progress {
  readonly what: string;
  readonly share?: number | undefined;
  readonly files: number;
  readonly bytes: number;
}

export interface ProgressLine {
  show(progress: Progress): void;
  clear(): void;
}

const CLEAR_LINE = '\r\u001b[2K';
const EACH_MS = 100;
const COLUMNS_DEFAULT = 80;

export function createProgressLine(out: OutputStream): ProgressLine {
  if (out.isTTY !== true) return { show: () => {}, clear: () => {} };
  let shownMs = Number.NEGATIVE_INFINITY;
  let isShown = false;
  return {
    show: ({ what, share, files, bytes }) => {
      const nowMs = performance.now();
      if (nowMs - shownMs < EACH_MS) return;
      shownMs = nowMs;
      isShown = true;
      const figures =
        share === undefined ? `${files} files, ${prettyBytes(bytes)}` : `${Math.round(share * 100)} %`;
      const columns = out.columns ?? COLUMNS_DEFAULT;
      out.write(CLEAR_LINE + cutText(lineText(`${figures}  ${what}`), columns - 1));
    },
    clear: () => {
      if (isShown) out.write(CLEAR_LINE);
      isShown = false;
    },
  };
}
