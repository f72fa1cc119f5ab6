/** P1 and P2: answers and turns a second, from one agent on one port. */
import { join } from 'node:path';
import { alternate, inMs, median, perSecond, type Row, times } from './figures.ts';
import {
  makeAgents,
  output,
  type Running,
  runLoad,
  startFloor,
  startProduct,
  withDirectory,
} from './processes.ts';

const ROUNDS = 3;
const SECONDS = 4;
const CONNECTIONS = 50;
const CLIENTS = 20;

interface HttpLoad {
  readonly perSecond: number;
  readonly failures: number;
}

interface TurnLoad extends HttpLoad {
  readonly p99Ms: number;
  readonly firstFailure?: string;
}

async function whileRunning<T>(
  started: Promise<Running>,
  work: (running: Running) => Promise<T>,
): Promise<T> {
  const running = await started;
  try {
    return await work(running);
  } finally {
    await running.stop();
  }
}

/** wrk where it is installed: it costs less than a client in Node, which leaves more of two cores to the server. */
async function hasWrk(): Promise<boolean> {
  return output('which', ['wrk']).then(
    () => true,
    () => false,
  );
}

async function httpLoad(port: number, withWrk: boolean): Promise<HttpLoad> {
  if (!withWrk) return runLoad<HttpLoad>('http-load.mjs', port, '/api/health', CONNECTIONS, 1, SECONDS);
  const options = ['-t1', `-c${CONNECTIONS}`, `-d${SECONDS}s`, `http://127.0.0.1:${port}/api/health`];
  const printed = await output('wrk', options);
  const found = (pattern: RegExp) => Number(pattern.exec(printed)?.[1] ?? 0);
  return {
    perSecond: found(/Requests\/sec:\s+([\d.]+)/),
    failures: found(/Non-2xx or 3xx responses: (\d+)/),
  };
}

export async function benchHealth(): Promise<readonly Row[]> {
  const withWrk = await hasWrk();
  return withDirectory(async (dir) => {
    const dirs = await makeAgents(dir, 1);
    const body = await whileRunning(startProduct(dirs), async ({ port }) =>
      (await fetch(`http://127.0.0.1:${port}/api/health`)).text(),
    );
    const load = ({ port }: Running) => httpLoad(port, withWrk);
    const { floor, product } = await alternate(
      ROUNDS,
      () => whileRunning(startFloor('health.mjs', body), load),
      () => whileRunning(startProduct(dirs), load),
    );
    throwOnFailures(product);
    const [floorRate, rate] = [rateOf(floor), rateOf(product)];
    const client = withWrk ? 'wrk' : 'a Node client';
    return [
      {
        budget: 'P1 ≥ 0.85×',
        work: `GET /api/health, ${CONNECTIONS} connections (${client})`,
        floor: perSecond(floorRate),
        product: perSecond(rate),
        ratio: times(rate / floorRate),
        isWithin: rate / floorRate >= 0.85,
      },
    ];
  });
}

export async function benchTurns(): Promise<readonly Row[]> {
  return withDirectory(async (dir) => {
    const dirs = await makeAgents(dir, 1);
    const load = ({ port }: Running) => runLoad<TurnLoad>('turn-load.mjs', port, CLIENTS, SECONDS);
    let round = 0;
    const { floor, product } = await alternate(
      ROUNDS,
      () => whileRunning(startFloor('durable-turns.mjs', join(dir, `floor-${round++}.db`)), load),
      () => whileRunning(startProduct(dirs), load),
    );
    throwOnFailures(product);
    const [floorRate, rate] = [rateOf(floor), rateOf(product)];
    const [floorP99, p99] = [floor, product].map((runs) => median(runs.map((run) => run.p99Ms))) as [
      number,
      number,
    ];
    return [
      {
        budget: 'P2 ≥ 0.7×',
        work: `durable turns, echo model, ${CLIENTS} clients`,
        floor: perSecond(floorRate),
        product: perSecond(rate),
        ratio: times(rate / floorRate),
        isWithin: rate / floorRate >= 0.7,
      },
      {
        budget: 'P2 p99 ≤ 3×',
        work: 'the same: time to a turn’s response',
        floor: inMs(floorP99),
        product: inMs(p99),
        ratio: times(p99 / floorP99),
        isWithin: p99 / floorP99 <= 3,
      },
    ];
  });
}

const rateOf = (runs: readonly HttpLoad[]): number => median(runs.map((run) => run.perSecond));

function throwOnFailures(runs: readonly (HttpLoad & { readonly firstFailure?: string })[]): void {
  for (const { failures, firstFailure } of runs) {
    if (failures > 0)
      throw new Error(`${failures} requests failed, so the figures mean nothing: ${firstFailure ?? ''}`);
  }
}
