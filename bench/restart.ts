/** P6: the gap a client sees while its agent restarts, from the last good answer to the first one after it. */
import { inMs, median, quantile, type Row, times } from './figures.ts';
import { makeAgents, type Running, runLoad, startFloor, startProduct, withDirectory } from './processes.ts';

const ROUNDS = 3;
const RESTARTS = 10;

async function gapsMs(started: Promise<Running>): Promise<readonly number[]> {
  const running = await started;
  try {
    return (await runLoad<{ gapsMs: readonly number[] }>('gap-load.mjs', running.port, RESTARTS)).gapsMs;
  } finally {
    await running.stop();
  }
}

export async function benchRestart(): Promise<readonly Row[]> {
  return withDirectory(async (dir) => {
    const dirs = await makeAgents(dir, 1);
    const [floor, product]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      floor.push(...(await gapsMs(startFloor('respawn.mjs'))));
      product.push(...(await gapsMs(startProduct(dirs))));
    }
    const p99 = quantile(product, 0.99);
    return [
      {
        budget: 'P6 (median)',
        work: 'restart: last answer → first answer',
        floor: inMs(median(floor)),
        product: inMs(median(product)),
        ratio: times(median(product) / median(floor)),
        isWithin: undefined,
      },
      {
        budget: 'P6 ≤ 150 ms',
        work: `the same, p99 of ${product.length}`,
        floor: inMs(quantile(floor, 0.99)),
        product: inMs(p99),
        ratio: times(p99 / quantile(floor, 0.99)),
        isWithin: p99 <= 150,
      },
    ];
  });
}
