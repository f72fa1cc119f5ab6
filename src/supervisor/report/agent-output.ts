/**
 * What agents' own code prints (`console.log` in a bridge) goes to stderr, line by line under the agent's id, and no
 * faster than a terminal is worth: one chatty bridge must not hide the other agents, nor keep the main thread busy.
 */

import { plainText } from './plain-text.ts';
import type { ReportStream } from './report.ts';

/** Lines one agent may print within any one second; the rest is counted. */
const LINES_PER_SECOND = 50;
const LINE_CHARS = 2_000;

interface Printing {
  /** The beginning of a line whose end has not come yet. */
  rest: string;
  secondStartMs: number;
  printed: number;
  dropped: number;
}

export function createOutputPrinter(options: {
  readonly err: ReportStream;
  readonly monotonicMs: () => number;
}): { print(id: string, text: string): void; flush(): void } {
  const { err, monotonicMs } = options;
  const agents = new Map<string, Printing>();

  function tellDropped(id: string, agent: Printing): void {
    if (agent.dropped > 0) err.write(`[${plainText(id)}] … ${agent.dropped} more lines not shown\n`);
    agent.dropped = 0;
  }

  function printLine(id: string, agent: Printing, line: string): void {
    const nowMs = monotonicMs();
    if (nowMs - agent.secondStartMs >= 1_000) {
      tellDropped(id, agent);
      agent.secondStartMs = nowMs;
      agent.printed = 0;
    }
    if (agent.printed >= LINES_PER_SECOND) {
      agent.dropped += 1;
      return;
    }
    agent.printed += 1;
    const text = plainText(line.slice(0, LINE_CHARS));
    err.write(`[${plainText(id)}] ${text}${line.length > LINE_CHARS ? '…' : ''}\n`);
  }

  return {
    print(id, text) {
      let agent = agents.get(id);
      if (agent === undefined) {
        agent = { rest: '', secondStartMs: monotonicMs(), printed: 0, dropped: 0 };
        agents.set(id, agent);
      }
      const lines = (agent.rest + text).split(/\r?\n/);
      agent.rest = lines.pop() ?? '';
      for (const line of lines) printLine(id, agent, line);
      if (agent.rest.length > LINE_CHARS) {
        printLine(id, agent, agent.rest);
        agent.rest = '';
      }
    },
    flush() {
      for (const [id, agent] of agents) {
        if (agent.rest !== '') printLine(id, agent, agent.rest);
        agent.rest = '';
        tellDropped(id, agent);
      }
    },
  };
}
