/**
 * What agents' own code prints (`console.log` in a bridge) goes to stderr, line by line under the agent's id, and no
 * faster than a terminal is worth: one chatty bridge must not hide the other agents, nor keep the main thread busy.
 */
import { plainText } from './plain-text.ts';
import type { ReportStream } from './report.ts';

/** Lines one agent may print within any one second; the rest is counted. */
const LINES_PER_SECOND = 50;

interface Printing {
  secondStartMs: number;
  printed: number;
  dropped: number;
}

export function createOutputPrinter(options: {
  readonly err: ReportStream;
  readonly monotonicMs: () => number;
}): { print(id: string, line: string): void; flush(): void } {
  const { err, monotonicMs } = options;
  const agents = new Map<string, Printing>();

  function tellDropped(id: string, agent: Printing): void {
    if (agent.dropped > 0) err.write(`[${plainText(id)}] … ${agent.dropped} more lines not shown\n`);
    agent.dropped = 0;
  }

  return {
    print(id, line) {
      const nowMs = monotonicMs();
      let agent = agents.get(id);
      if (agent === undefined) {
        agent = { secondStartMs: nowMs, printed: 0, dropped: 0 };
        agents.set(id, agent);
      }
      if (nowMs - agent.secondStartMs >= 1_000) {
        tellDropped(id, agent);
        agent.secondStartMs = nowMs;
        agent.printed = 0;
      }
      if (agent.printed < LINES_PER_SECOND) {
        agent.printed += 1;
        err.write(`[${plainText(id)}] ${plainText(line)}\n`);
      } else {
        agent.dropped += 1;
      }
    },
    flush() {
      for (const [id, agent] of agents) tellDropped(id, agent);
    },
  };
}
