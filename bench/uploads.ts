/** Chat turns beside an upload of a gigabyte, and what that costs of memory. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inMib, inMs, median, type Row, times } from './figures.ts';
import { makeAgents, type Running, runLoad, startProduct, withDirectory } from './processes.ts';

const ROUNDS = 3;
const SECONDS = 4;
const CLIENTS = 4;
const BYTES = 1024 ** 3;
const RATIO = 2;
const GROWTH_BYTES = 20 * 1024 * 1024;
const SAMPLE_MS = 50;

interface Turns {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failures: number;
}

interface Uploads {
  readonly uploads: number;
  readonly failures: number;
  readonly firstFailure?: string;
  readonly msEach: number;
}

export async function benchUploads(): Promise<readonly Row[]> {
  return withDirectory(async (dir) => {
    const [agentDir = ''] = await makeAgents(dir, 1);
    const running = await startProduct([agentDir]);
    try {
      const [alone, beside, growth, tookMs]: [Turns[], Turns[], number[], number[]] = [[], [], [], []];
      for (let round = 0; round < ROUNDS; round += 1) {
        alone.push(await turns(running));
        const memory = await watchMemory(running);
        const [chat, uploads] = await Promise.all([turns(running), upload(running)]);
        beside.push(chat);
        tookMs.push(uploads.msEach);
        growth.push(memory.stop());
        await rm(join(agentDir, 'uploads'), { recursive: true, force: true });
      }
      return rowsOf(alone, beside, growth, tookMs);
    } finally {
      await running.stop();
    }
  });
}

async function turns({ port }: Running): Promise<Turns> {
  const figures = await runLoad<Turns>('turn-load.mjs', port, CLIENTS, SECONDS);
  if (figures.failures > 0) throw new Error(`${figures.failures} turns failed`);
  return figures;
}

async function upload({ port }: Running): Promise<Uploads> {
  const figures = await runLoad<Uploads>('upload-load.mjs', port, BYTES, SECONDS);
  if (figures.failures > 0) throw new Error(`The upload failed: ${figures.firstFailure ?? ''}`);
  return figures;
}

/** The first round also pays for what an upload loads once; the median of the rounds does not. */
async function watchMemory({ residentBytes }: Running) {
  const before = (await residentBytes()) ?? Number.NaN;
  let largest = before;
  const timer = setInterval(async () => {
    largest = Math.max(largest, (await residentBytes()) ?? Number.NaN);
  }, SAMPLE_MS);
  return {
    stop: (): number => {
      clearInterval(timer);
      return largest - before;
    },
  };
}

function rowsOf(
  alone: readonly Turns[],
  beside: readonly Turns[],
  growth: readonly number[],
  tookMs: readonly number[],
): readonly Row[] {
  const kinds = [
    ['median', 'p50Ms'],
    ['p99', 'p99Ms'],
  ] as const;
  const grown = median(growth);
  const seconds = inMs(median(tookMs));
  return [
    ...kinds.map(([name, key]) => {
      const [floor, product] = [alone, beside].map((runs) => median(runs.map((run) => run[key]))) as [
        number,
        number,
      ];
      return {
        budget: key === 'p99Ms' ? `chat ≤ ${RATIO}×` : 'chat',
        work: `a turn beside uploads of 1 GiB (${seconds} each), ${CLIENTS} clients, ${name}`,
        floor: inMs(floor),
        product: inMs(product),
        ratio: times(product / floor),
        isWithin: key === 'p99Ms' ? product / floor <= RATIO : undefined,
      };
    }),
    {
      budget: `≤ ${inMib(GROWTH_BYTES)}`,
      work: 'memory of all its processes, at most, over what it was before',
      floor: '–',
      product: inMib(grown),
      ratio: '–',
      isWithin: grown <= GROWTH_BYTES,
    },
  ];
}
