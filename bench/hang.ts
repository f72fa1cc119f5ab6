/**
 * P7: how soon an agent that hangs in JavaScript is ready again, and what its nineteen neighbours notice. Each hang is the
 * first of its agent, so that none waits for a backoff that others before it have made longer. The turns of the
 * neighbours come at a pace that leaves both cores mostly idle, the same with and without a hang; the hang itself takes
 * one of the cores.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inMs, median, quantile, type Row, times } from './figures.ts';
import { makeAgents, type Running, startProduct, withDirectory } from './processes.ts';

const BRIDGE = fileURLToPath(new URL('bridges/hanging.mjs', import.meta.url));
const LOAD = fileURLToPath(new URL('load/paced-load.mjs', import.meta.url));
const AGENTS = 20;
const HANGS_EACH = 5;
const TURNS_PER_SECOND = 20;
const WARM_UP_MS = 5_000;
const BASELINE_MS = 3_000;
/** Between an agent's return and the next baseline: its clients come back, and it compiles what it runs often. */
const SETTLE_MS = 2_000;
const READY_BUDGET_MS = 3_000;
const P99_BUDGET = 2;

const KINDS = [
  { kind: 'loop', name: 'for(;;)', place: 'endlessLoop' },
  { kind: 'promises', name: 'endless promises', place: 'endlessPromises' },
] as const;
type Kind = (typeof KINDS)[number];

interface Window {
  readonly kind: Kind;
  /** Index of the agent that hangs. */
  readonly at: number;
  readonly baselineMs: number;
  readonly orderedMs: number;
  readonly readyMs: number;
}

interface LoadFigures {
  /** Index of the agent, when it was asked, how long it took. */
  readonly turns: readonly (readonly [number, number, number])[];
  readonly lost: readonly number[];
  readonly failures: number;
  readonly firstFailure?: string;
  readonly cpu: number;
}

export async function benchHang(): Promise<readonly Row[]> {
  return withDirectory(async (dir) => {
    const dirs = await makeAgents(dir, AGENTS);
    const hangs = KINDS.flatMap((kind) => Array.from({ length: HANGS_EACH }, () => kind));
    for (const agentDir of dirs.slice(0, hangs.length)) await giveBridge(agentDir);
    const running = await startProduct(dirs);
    try {
      const ports = await Promise.all(dirs.map((agentDir) => readFile(join(agentDir, '.port'), 'utf8')));
      const load = startLoad(ports);
      const windows: Window[] = [];
      await delay(WARM_UP_MS);
      for (const [at, kind] of hangs.entries()) windows.push(await hang(running, dirs, at, kind));
      const figures = await load.end();
      if (figures.failures > 0) throw new Error(`Turns failed: ${figures.firstFailure}`);
      const cut = figures.lost.findIndex((count, at) => count > 0 && at >= hangs.length);
      if (cut !== -1) throw new Error(`Sockets of ${basename(dirs[cut] ?? '')} broke, which did not hang`);
      const rows = KINDS.map((kind) => {
        const ofKind = windows.filter((window) => window.kind === kind);
        return rowsOf(kind, ofKind, figures);
      });
      return [...rows.flat(), loadRow(figures)];
    } finally {
      await running.stop();
    }
  });
}

async function giveBridge(agentDir: string): Promise<void> {
  await mkdir(join(agentDir, 'bridges'));
  await copyFile(BRIDGE, join(agentDir, 'bridges/hanging.mjs'));
  await appendFile(join(agentDir, 'openagent.yaml'), 'channels:\n  hanging: {}\n');
}

/** `process.hrtime` is one clock for all processes of a machine. */
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

function startLoad(ports: readonly string[]) {
  const child: ChildProcess = spawn(process.execPath, [LOAD, String(TURNS_PER_SECOND), ...ports], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  const closed = once(child, 'close');
  return {
    end: async (): Promise<LoadFigures> => {
      child.stdin?.end();
      await closed;
      return JSON.parse(printed) as LoadFigures;
    },
  };
}

async function hang(running: Running, dirs: readonly string[], at: number, kind: Kind): Promise<Window> {
  const agentDir = dirs[at] ?? '';
  const id = basename(agentDir);
  await delay(SETTLE_MS);
  const baselineMs = nowMs();
  await delay(BASELINE_MS);
  const told: { incident?: string } = {};
  const order = join(agentDir, 'order');
  await writeFile(`${order}.new`, kind.kind);
  const orderedMs = nowMs();
  const ready = running.until((text) => {
    const line = JSON.parse(text) as {
      type: string;
      id: string;
      kind?: string;
      text?: string;
      state?: string;
    };
    if (line.id !== id) return undefined;
    if (line.type === 'incident' && line.kind === 'hung') told.incident = line.text ?? '';
    return line.type === 'agent' && line.state === 'running' && told.incident !== undefined
      ? nowMs()
      : undefined;
  });
  await rename(`${order}.new`, order);
  const readyMs = await ready;
  await checkIncident(told.incident ?? '', kind);
  return { kind, at, baselineMs, orderedMs, readyMs };
}

/** Function, file, and a line of that function. */
async function checkIncident(incident: string, { place }: Kind): Promise<void> {
  const [, named, line] = /^hung for [\d.]+ s in (\w+) \(bridges\/hanging\.mjs:(\d+)\)/.exec(incident) ?? [];
  const source = (await readFile(BRIDGE, 'utf8')).split('\n');
  const first = source.findIndex((text) => text.includes(`function ${place}`)) + 1;
  const isInside = Number(line) >= first && Number(line) <= first + 1;
  if (named !== place || !isInside)
    throw new Error(`The incident does not name ${place} and its line: ${incident}`);
}

function rowsOf(kind: Kind, windows: readonly Window[], { turns }: LoadFigures): readonly Row[] {
  const tookMs = windows.map(({ orderedMs, readyMs }) => readyMs - orderedMs);
  const worstMs = Math.max(...tookMs);
  const baseline: number[] = [];
  const during: number[] = [];
  for (const { at, baselineMs, orderedMs, readyMs } of windows) {
    for (const [of, sentMs, tookMs] of turns) {
      if (of === at) continue;
      if (sentMs >= baselineMs && sentMs < orderedMs) baseline.push(tookMs);
      else if (sentMs >= orderedMs && sentMs < readyMs) during.push(tookMs);
    }
  }
  const shown = (q: number) => [quantile(baseline, q), quantile(during, q)] as const;
  const [[p50Before, p50], [p99Before, p99]] = [shown(0.5), shown(0.99)];
  const beside = `neighbours’ turns, ${kind.name} beside them`;
  return [
    {
      budget: `P7 ≤ ${READY_BUDGET_MS / 1000} s`,
      work: `${kind.name} ordered → ready again, median of ${tookMs.length} (worst ${inMs(worstMs)})`,
      floor: '–',
      product: inMs(median(tookMs)),
      ratio: '–',
      isWithin: worstMs <= READY_BUDGET_MS,
    },
    {
      budget: 'P7 (median)',
      work: beside,
      floor: inMs(p50Before),
      product: inMs(p50),
      ratio: times(p50 / p50Before),
      isWithin: undefined,
    },
    {
      budget: `P7 ≤ ${P99_BUDGET}×`,
      work: `${beside}, p99 of ${during.length}`,
      floor: inMs(p99Before),
      product: inMs(p99),
      ratio: times(p99 / p99Before),
      isWithin: p99 <= P99_BUDGET * p99Before,
    },
  ];
}

/** Were it much, the neighbours' times would be those of their clients. */
function loadRow({ cpu }: LoadFigures): Row {
  return {
    budget: 'P7 (load)',
    work: `${TURNS_PER_SECOND} turns/s to each of ${AGENTS} agents: what their clients take of a core`,
    floor: '–',
    product: `${Math.round(cpu * 100)}%`,
    ratio: '–',
    isWithin: undefined,
  };
}
