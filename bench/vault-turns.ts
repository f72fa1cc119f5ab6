/** P3, the agent's part: chat turns beside work on a vault of 10,000 notes, and how soon a checkout is indexed. */
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { inMs, median, type Row, times } from './figures.ts';
import { makeAgents, type Running, runLoad, startProduct, withDirectory } from './processes.ts';
import { makeNotes } from './vault-index.ts';

const NOTES = 10_000;
const ROUNDS = 3;
const SECONDS = 2;
const DELAY_BUDGET_MS = 5;
const CHECKOUT_FILES = 1_000;
const CHECKOUT_BUDGET_MS = 2_000;
/** Between two requests of one kind; an agent that works with its notes does not do more. */
const PAUSE_MS = 25;
const READY_MS = 120_000;
/** One client alone makes more turns than a socket may; it would be cut off. */
const LIMITS = 'limits:\n  frames_per_second: 100000\n';

interface Figures {
  readonly failures: number;
  readonly firstFailure?: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export async function benchVaultTurns(): Promise<readonly Row[]> {
  return withDirectory(async (dir) => {
    const [agentDir = ''] = await makeAgents(dir, 1);
    await appendFile(join(agentDir, 'openagent.yaml'), LIMITS);
    const root = join(agentDir, 'memories');
    for (const { path, content } of makeNotes(NOTES)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content);
    }
    const running = await startProduct([agentDir]);
    try {
      const readyMs = await whenIndexed(running);
      const [alone, beside]: [Figures[], Figures[]] = [[], []];
      for (let round = 0; round < ROUNDS; round += 1) {
        alone.push(await turns(running));
        const work = startWork(running, root);
        beside.push(await turns(running));
        await work.stop();
      }
      const indexed: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) indexed.push(await checkoutMs(running, root, round));
      return [...delayRows(alone, beside), ...freshRows(readyMs, indexed)];
    } finally {
      await running.stop();
    }
  });
}

async function turns({ port }: Running): Promise<Figures> {
  const figures = await runLoad<Figures>('turn-load.mjs', port, 1, SECONDS);
  if (figures.failures > 0) throw new Error(`Turns failed: ${figures.firstFailure}`);
  return figures;
}

async function ask<T>({ port }: Running, path: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${port}/api/vault/${path}`, init);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

async function whenIndexed(running: Running): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const answer = await ask<{ indexing?: true }>(running, 'search?q=everywhere&limit=1');
    const spentMs = performance.now() - startedAt;
    if (answer.indexing === undefined) return spentMs;
    if (spentMs > READY_MS) throw new Error('The vault was not indexed in time');
    await pause();
  }
}

/** Searches, writes of ours, and an editor that saves, each in a loop of its own. */
function startWork(running: Running, root: string) {
  let isStopped = false;
  const loop = async (work: (n: number) => Promise<unknown>): Promise<void> => {
    for (let n = 0; !isStopped; n += 1) {
      await work(n);
      await pause();
    }
  };
  const loops = [
    loop((n) => ask(running, `search?q=everywhere%20note%20${n % 100}`)),
    loop((n) =>
      ask(running, `notes/ours%20${n % 50}.md`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ content: `# Ours ${n}\n[[Note ${n}]] everywhere` }),
      }),
    ),
    loop((n) => writeFile(join(root, `theirs ${n % 50}.md`), `# Theirs ${n}\n[[Note ${n}]] everywhere`)),
  ];
  return {
    stop: async () => {
      isStopped = true;
      await Promise.all(loops);
    },
  };
}

/** From the last write to the answer that has all of them. */
async function checkoutMs(running: Running, root: string, round: number): Promise<number> {
  const word = `checkout${round}word`;
  for (let n = 0; n < CHECKOUT_FILES; n += 1) {
    await writeFile(
      join(root, `folder ${n % 100}/Checkout ${n}.md`),
      `# ${word} ${word}n${n}\n[[Note ${n}]]`,
    );
  }
  const startedAt = performance.now();
  const isThere = async (n: number) =>
    (await ask<{ results: readonly unknown[] }>(running, `search?q=${word}n${n}%20`)).results.length > 0;
  // In no particular order: each is asked for until it is there, so the last one found was the last one missing.
  for (let n = 0; n < CHECKOUT_FILES; n += 37) while (!(await isThere(n))) await pause();
  return performance.now() - startedAt;
}

function delayRows(alone: readonly Figures[], beside: readonly Figures[]): readonly Row[] {
  const kinds = [
    ['median', 'p50Ms'],
    ['p99', 'p99Ms'],
  ] as const;
  return kinds.map(([name, key]) => {
    const [floor, product] = [alone, beside].map((runs) => median(runs.map((run) => run[key]))) as [
      number,
      number,
    ];
    return {
      budget: `P3 + ≤ ${DELAY_BUDGET_MS} ms`,
      work: `a turn beside searches, writes and edits, ${name}`,
      floor: inMs(floor),
      product: inMs(product),
      ratio: times(product / floor),
      isWithin: product - floor <= DELAY_BUDGET_MS,
    };
  });
}

function freshRows(readyMs: number, indexed: readonly number[]): readonly Row[] {
  return [
    {
      budget: 'P3',
      work: `first index of ${NOTES} notes, in the background`,
      floor: '–',
      product: inMs(readyMs),
      ratio: '–',
      isWithin: undefined,
    },
    {
      budget: `P3 ≤ ${CHECKOUT_BUDGET_MS} ms`,
      work: `${CHECKOUT_FILES} files written at once: last write → all found`,
      floor: '–',
      product: inMs(median(indexed)),
      ratio: '–',
      isWithin: median(indexed) <= CHECKOUT_BUDGET_MS,
    },
  ];
}
