/** P4 and P5: how long fifty agents take to be ready, and what each of them costs in memory. */
import { setTimeout as sleep } from 'node:timers/promises';
import { inMib, inMs, median, type Row, times } from './figures.ts';
import { makeAgents, type Running, startFloor, startProduct, withDirectory } from './processes.ts';

const ROUNDS = 3;
const AGENTS = 50;
const FEW_AGENTS = 10;
/** Time for garbage of the start to be collected before memory is read. */
const SETTLE_MS = 3_000;

async function startMsOf(started: Promise<Running>, signal?: NodeJS.Signals): Promise<number> {
  const running = await started;
  await running.stop(signal);
  return running.startMs;
}

export async function benchStart(): Promise<readonly Row[]> {
  const floor: number[] = [];
  const product = {
    'first start': [] as number[],
    'later start': [] as number[],
    'after kill -9': [] as number[],
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    await withDirectory(async (dir) => {
      const dirs = await makeAgents(dir, AGENTS);
      floor.push(await startMsOf(startFloor('threads.mjs', String(AGENTS))));
      product['first start'].push(await startMsOf(startProduct(dirs)));
      floor.push(await startMsOf(startFloor('threads.mjs', String(AGENTS))));
      product['later start'].push(await startMsOf(startProduct(dirs), 'SIGKILL'));
      floor.push(await startMsOf(startFloor('threads.mjs', String(AGENTS))));
      product['after kill -9'].push(await startMsOf(startProduct(dirs)));
    });
  }
  const floorMs = median(floor);
  return Object.entries(product).map(([kind, starts]) => ({
    budget: 'P4 ≤ 1.75×',
    work: `exec → last of ${AGENTS} agents ready: ${kind}`,
    floor: inMs(floorMs),
    product: inMs(median(starts)),
    ratio: times(median(starts) / floorMs),
    isWithin: median(starts) / floorMs <= 1.75,
  }));
}

async function residentBytes(started: Promise<Running>): Promise<number> {
  const running = await started;
  await sleep(SETTLE_MS);
  const bytes = await running.residentBytes();
  await running.stop();
  return bytes ?? Number.NaN;
}

/** The slope between few and many: what the process needs anyway falls out. */
async function perFurther(startSome: (count: number) => Promise<Running>): Promise<number> {
  const [many, few] = [await residentBytes(startSome(AGENTS)), await residentBytes(startSome(FEW_AGENTS))];
  return (many - few) / (AGENTS - FEW_AGENTS);
}

export async function benchMemory(): Promise<readonly Row[]> {
  return withDirectory(async (dir) => {
    const dirs = await makeAgents(dir, AGENTS);
    const floor: number[] = [];
    const product: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      floor.push(await perFurther((count) => startFloor('threads.mjs', String(count))));
      product.push(await perFurther((count) => startProduct(dirs.slice(0, count))));
    }
    const [floorBytes, bytes] = [median(floor), median(product)];
    return [
      {
        budget: 'P5 ≤ 15 MiB',
        work: 'memory per further idle agent',
        floor: inMib(floorBytes),
        product: inMib(bytes),
        ratio: times(bytes / floorBytes),
        isWithin: bytes <= 15 * 1024 * 1024,
      },
    ];
  });
}
