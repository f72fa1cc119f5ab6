/** P3, the main thread's part: the vaults of many agents watched at once. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { alternate, inMs, median, type Row, times } from './figures.ts';
import { output, withDirectory } from './processes.ts';

const VAULTS = 50;
const FOLDERS = 20;
const NOTES = 1_000;
const ROUNDS = 5;
const READY_BUDGET_MS = 500;
const BYTES_BUDGET = 1_024;
const CLIENT = fileURLToPath(new URL('load/watch-vaults.ts', import.meta.url));

interface Figures {
  readonly readyMs: number;
  /** Resident memory that came with the watches. */
  readonly bytes: number;
  readonly watches: number;
}

export async function benchVaultWatching(): Promise<readonly Row[]> {
  return withDirectory(async (dir) => {
    const vaults = Array.from({ length: VAULTS }, (_, at) => join(dir, `vault ${at}`));
    for (const vault of vaults) await fill(vault);
    const run = async (kind: 'floor' | 'product'): Promise<Figures> => {
      const options = ['--expose-gc', '--conditions=development', '--import', 'tsx'];
      return JSON.parse(await output(process.execPath, [...options, CLIENT, kind, ...vaults])) as Figures;
    };
    const { floor, product } = await alternate(
      ROUNDS,
      () => run('floor'),
      () => run('product'),
    );
    const ms = [floor, product].map((runs) => median(runs.map(({ readyMs }) => readyMs)));
    const perNote = [floor, product].map((runs) => median(runs.map(({ bytes }) => bytes)) / (VAULTS * NOTES));
    const rowOf = (work: string, budget: string, [one = 0, two = 0]: readonly number[], max: number) => ({
      ...{ budget, work, ratio: times(two / one), isWithin: two <= max },
    });
    const watches = `${product[0]?.watches} watches`;
    const what = `${VAULTS} vaults of ${NOTES} notes in ${FOLDERS} folders`;
    return [
      {
        ...rowOf(`${what}: watched (${watches})`, `P3 ≤ ${READY_BUDGET_MS} ms`, ms, READY_BUDGET_MS),
        ...{ floor: inMs(ms[0] as number), product: inMs(ms[1] as number) },
      },
      {
        ...rowOf(`${what}: memory per note`, 'P3 ≤ 1 KB', perNote, BYTES_BUDGET),
        ...{
          floor: `${Math.round(perNote[0] as number)} B`,
          product: `${Math.round(perNote[1] as number)} B`,
        },
      },
    ];
  });
}

async function fill(vault: string): Promise<void> {
  for (let folder = 0; folder < FOLDERS; folder += 1) {
    const path = join(vault, `folder ${folder}`);
    await mkdir(path, { recursive: true });
    const notes = Array.from({ length: NOTES / FOLDERS }, (_, at) => join(path, `Note ${at}.md`));
    await Promise.all(notes.map((note) => writeFile(note, '# Note\n')));
  }
}
