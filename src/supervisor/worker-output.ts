/**
 * Lines that an agent's code prints. They are cut into whole lines of bounded length without the agent's secrets; the
 * last ones are kept to be shown beside the reason when the agent ends.
 */
import type { Readable } from 'node:stream';

const LINES_KEPT = 20;
const LINE_CHARS_MAX = 4_096;

export interface WorkerOutput {
  read(stream: Readable | null): void;
  /** The last lines, oldest first. */
  tail(): readonly string[];
}

export function createWorkerOutput(secrets: readonly string[], onLine: (line: string) => void): WorkerOutput {
  const hidden = secrets.filter((secret) => secret.length > 0);
  let kept: string[] = [];

  function take(line: string): void {
    if (line.trim() === '') return;
    const clean = hidden.reduce((text, secret) => text.replaceAll(secret, '[secret]'), line);
    kept = [...kept, clean].slice(-LINES_KEPT);
    onLine(clean);
  }

  return {
    read: (stream) => {
      let rest = '';
      stream?.setEncoding('utf8');
      stream?.on('data', (chunk: string) => {
        const lines = (rest + chunk).split(/\r?\n/);
        rest = lines.pop() ?? '';
        for (const line of lines) take(line.slice(0, LINE_CHARS_MAX));
        if (rest.length > LINE_CHARS_MAX) {
          take(rest.slice(0, LINE_CHARS_MAX));
          rest = '';
        }
      });
      stream?.on('end', () => take(rest));
      // A pipe that breaks ends with the worker, whose exit is reported on its own.
      stream?.on('error', () => {});
    },
    tail: () => kept,
  };
}
