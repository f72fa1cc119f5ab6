/** P8: how long after the host's death all of fifty agents are ready again. */
import { alternate, inMs, median, type Row, times } from './figures.ts';
import { makeAgents, type Running, startFloor, startProduct, withDirectory } from './processes.ts';

const ROUNDS = 3;
const DEATHS = 2;
const AGENTS = 50;
const BUDGET_MS = 3_000;

async function floorMs(): Promise<readonly number[]> {
  const running = await startFloor('threads.mjs', String(AGENTS));
  await running.stop();
  return [running.startMs];
}

async function deathsMs(started: Promise<Running>): Promise<readonly number[]> {
  const running = await started;
  const tookMs: number[] = [];
  for (let death = 0; death < DEATHS; death += 1) {
    tookMs.push(await running.readyAgainMs((hostPid) => process.kill(hostPid, 'SIGABRT')));
  }
  await running.stop();
  return tookMs;
}

export async function benchHostDeath(): Promise<readonly Row[]> {
  return withDirectory(async (dir) => {
    const dirs = await makeAgents(dir, AGENTS);
    const { floor, product } = await alternate(ROUNDS, floorMs, () => deathsMs(startProduct(dirs)));
    const [bareMs, tookMs] = [median(floor.flat()), median(product.flat())];
    const worstMs = Math.max(...product.flat());
    return [
      {
        budget: 'P8 ≤ 3 s',
        work: `host SIGABRT → last of ${AGENTS} agents ready (worst ${inMs(worstMs)})`,
        floor: inMs(bareMs),
        product: inMs(tookMs),
        ratio: times(tookMs / bareMs),
        isWithin: tookMs <= BUDGET_MS,
      },
    ];
  });
}
