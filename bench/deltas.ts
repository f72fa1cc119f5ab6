/** How long the first word of an answer takes from its provider to the client, at many answers at once. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inMs, median, type Row, times } from './figures.ts';
import { makeAgents, type Running, runLoad, startFloor, startProduct, withDirectory } from './processes.ts';

const ROUNDS = 3;
const SECONDS = 8;
const STREAMS = 50;
const BUDGET_MS = 5;

interface Figures {
  readonly samples: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failures: number;
  readonly firstFailure?: string;
}

/** `resume`: each piece is on disk before it is sent. */
const KINDS = [
  ['delta', ''],
  ['delta,resume', ', each piece durable'],
] as const;

export async function benchDeltas(): Promise<readonly Row[]> {
  return withDirectory(async (dir) => {
    const provider = await startFloor('sse-provider.mjs');
    const running: Running[] = [provider];
    try {
      const dirs = await makeAgents(dir, 1);
      for (const agentDir of dirs) await writeFile(join(agentDir, 'openagent.yaml'), yamlFor(provider.port));
      const floor = await startFloor('delta-relay.mjs', String(provider.port));
      running.push(floor);
      const product = await startProduct(dirs);
      running.push(product);
      const floors: Figures[] = [];
      const products = KINDS.map((): Figures[] => []);
      for (let round = 0; round < ROUNDS; round += 1) {
        floors.push(await listen(floor, KINDS[0][0]));
        for (const [at, [capabilities]] of KINDS.entries()) {
          products[at]?.push(await listen(product, capabilities));
        }
      }
      return KINDS.flatMap(([, how], at) => rowsOf(how, floors, products[at] ?? []));
    } finally {
      for (const one of running.toReversed()) await one.stop();
    }
  });
}

function yamlFor(port: number): string {
  return [
    `model: { provider: groq, model_id: m, api_key: none, base_url: "http://127.0.0.1:${port}/v1" }`,
    `limits: { concurrent_model_calls: ${2 * STREAMS} }`,
    '',
  ].join('\n');
}

async function listen({ port }: Running, capabilities: string): Promise<Figures> {
  const figures = await runLoad<Figures>('delta-load.mjs', port, STREAMS, SECONDS, capabilities);
  if (figures.failures > 0)
    throw new Error(`${figures.failures} turns failed: ${figures.firstFailure ?? ''}`);
  return figures;
}

function rowsOf(how: string, floors: readonly Figures[], products: readonly Figures[]): readonly Row[] {
  const kinds = [
    ['median', 'p50Ms'],
    ['p99', 'p99Ms'],
  ] as const;
  return kinds.map(([name, key]) => {
    const [floor, product] = [floors, products].map((runs) => median(runs.map((run) => run[key]))) as [
      number,
      number,
    ];
    return {
      budget: `P9 ≤ ${BUDGET_MS} ms`,
      work: `provider’s first byte → first delta, ${STREAMS} streams${how}, ${name}`,
      floor: inMs(floor),
      product: inMs(product),
      ratio: times(product / floor),
      isWithin: product <= BUDGET_MS,
    };
  });
}
