/** An agent's directory with bridges in it, a runner over it, and its log as something to wait for. */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SimulatedClock } from 'xstate';
import { startBridges } from '../../src/bridges/bridge-runner.ts';
import type { WireError } from '../../src/contract/errors.ts';
import type { AgentSettings } from '../../src/contract/worker-protocol.ts';
import type { Log, LogFields } from '../../src/logging/log.ts';

interface FixtureOptions {
  readonly bridges: AgentSettings['bridges'];
  /** Name in the agent's `bridges/` → name among the fixtures, or the text itself. */
  readonly files?: Readonly<Record<string, string>>;
  readonly texts?: Readonly<Record<string, string>>;
  readonly random?: number;
  readonly gatewayUrl?: string;
  /** A directory that the test made and removes itself. */
  readonly agentDir?: string;
}

const FIXTURES = fileURLToPath(new URL('../fixtures/bridges/', import.meta.url));
const DEADLINE_MS = 15_000;

export function startFixture(t: TestContext, options: FixtureOptions) {
  const agentDir = options.agentDir ?? mkdtempSync(join(tmpdir(), 'bridges-'));
  const dir = join(agentDir, 'bridges');
  mkdirSync(dir, { recursive: true });
  for (const [name, fixture] of Object.entries(options.files ?? {}))
    cpSync(join(FIXTURES, fixture), join(dir, name), { recursive: true });
  for (const [name, text] of Object.entries(options.texts ?? {})) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  const clock = new SimulatedClock();
  const { log, entry } = createAwaitableLog();
  const warnings: WireError[] = [];
  const runner = startBridges({
    dir,
    bridges: options.bridges,
    gatewayUrl: options.gatewayUrl ?? 'ws://127.0.0.1:1/ws',
    token: 'gateway-token',
    log,
    spawn: (command, args = [], options = {}) => spawn(command, args, options),
    clock: {
      monotonicMs: () => clock.now(),
      wallMs: () => clock.now(),
      setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs),
      clearTimeout: (timer) => clock.clearTimeout(timer as number),
    },
    random: () => options.random ?? 0.99,
    onWarning: (warning) => warnings.push(warning),
  });
  t.after(async () => {
    const stopped = runner.stop(1);
    clock.increment(1);
    await stopped;
    if (options.agentDir === undefined) rmSync(agentDir, { recursive: true, force: true });
  });
  return { agentDir, dir, runner, clock, log, entry, warnings };
}

type Entry = [level: string, event: string, fields: LogFields | undefined];

/** `entry(event)`: the next line of that event which was not given out yet, or rejects at a deadline. */
function createAwaitableLog() {
  const entries: Entry[] = [];
  const waiting = new Set<() => void>();
  const taken = new Set<Entry>();
  const at =
    (level: string) =>
    (event: string, fields?: LogFields): void => {
      entries.push([level, event, fields]);
      for (const check of waiting) check();
    };
  const log: Log & { entries: Entry[] } = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    isEnabled: () => true,
    entries,
  };
  const entry = (event: string): Promise<[level: string, fields: Record<string, unknown>]> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(check);
        const seen = entries.map((line) => JSON.stringify(line)).join('\n');
        reject(new Error(`no ${event} within ${DEADLINE_MS} ms; seen:\n${seen}`));
      }, DEADLINE_MS);
      const check = () => {
        const found = entries.find((line) => line[1] === event && !taken.has(line));
        if (found === undefined) return;
        taken.add(found);
        waiting.delete(check);
        clearTimeout(timer);
        resolve([found[0], { ...found[2] }]);
      };
      waiting.add(check);
      check();
    });
  return { log, entry };
}
