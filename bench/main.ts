/**
 * Measures the budgets of docs/architecture.md, each beside a floor in the same run, and prints one table:
 *
 *   npm run bench              all
 *   npm run bench -- P2 P6     some
 */
import { availableParallelism, cpus } from 'node:os';
import Table from 'cli-table3';
import { benchDeltas } from './deltas.ts';
import type { Row } from './figures.ts';
import { benchMemory, benchStart } from './fleet-start.ts';
import { benchHang } from './hang.ts';
import { benchHostDeath } from './host-death.ts';
import { benchMetrics } from './metrics.ts';
import { benchRestart } from './restart.ts';
import { benchHealth, benchTurns } from './throughput.ts';
import { benchUploads } from './uploads.ts';
import { benchVaultIndex } from './vault-index.ts';
import { benchVaultTurns } from './vault-turns.ts';
import { benchVaultWatching } from './vault-watching.ts';

const BENCHES: Readonly<Record<string, () => Promise<readonly Row[]>>> = {
  P1: benchHealth,
  P2: benchTurns,
  P3: async () => [
    ...(await benchVaultIndex()),
    ...(await benchVaultTurns()),
    ...(await benchVaultWatching()),
  ],
  P4: benchStart,
  P5: benchMemory,
  P6: benchRestart,
  P7: benchHang,
  P8: benchHostDeath,
  metrics: benchMetrics,
  P9: benchDeltas,
  uploads: benchUploads,
};

const VERDICTS = new Map<boolean | undefined, string>([
  [true, 'pass'],
  [false, 'FAIL'],
]);

async function main(wanted: readonly string[]): Promise<void> {
  const unknown = wanted.find((name) => BENCHES[name] === undefined);
  if (unknown !== undefined)
    throw new Error(`No bench ${unknown}; there are ${Object.keys(BENCHES).join(', ')}`);
  const table = new Table({
    head: ['budget', 'work', 'floor', 'product', 'ratio', ''],
    style: { head: [], border: [] },
  });
  for (const [name, bench] of Object.entries(BENCHES)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    process.stderr.write(`${name} …\n`);
    for (const row of await bench()) {
      table.push([row.budget, row.work, row.floor, row.product, row.ratio, VERDICTS.get(row.isWithin) ?? '']);
    }
  }
  const cores = `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown processor'}`;
  process.stdout.write(
    `${table.toString()}\nNode ${process.version}, ${cores}; medians of alternating runs\n`,
  );
}

main(process.argv.slice(2)).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
