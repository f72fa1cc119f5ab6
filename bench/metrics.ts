/** What it costs to be watched: the processor time of a fleet whose `/metrics` is read each second, and of the same one left alone. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { alternate, inMs, median, quantile, type Row } from './figures.ts';
import { makeAgents, startProduct, withDirectory } from './processes.ts';

const AGENTS = 50;
const ROUNDS = 3;
const WINDOW_S = 20;
/** Caches fill, code is compiled. */
const WARM_UP_S = 10;
const TICKS_PER_SECOND = 100;

interface Scraped {
  readonly tookMs: number;
  readonly bytes: number;
}

/** One fleet, left alone and scraped in turn: two that were just started differ by more than this is about. */
export async function benchMetrics(): Promise<readonly Row[]> {
  return withDirectory(async (dir) => {
    const runDir = join(dir, 'run');
    process.env.OPENAGENT_RUN_DIR = runDir;
    const running = await startProduct(await makeAgents(dir, AGENTS), ['--fleet-port', '0']);
    try {
      const pid = await running.hostPid();
      const scrapes: Scraped[] = [];
      const scrape = await scraperOf(join(runDir, `${pid}.json`), scrapes);
      await scrape(WARM_UP_S);
      scrapes.length = 0;
      const { floor, product } = await alternate(
        ROUNDS,
        () => percentOf(pid, () => sleep(WINDOW_S * 1_000)),
        () => percentOf(pid, () => scrape(WINDOW_S)),
      );
      return toRows(floor, product, scrapes);
    } finally {
      await running.stop();
    }
  });
}

function toRows(
  floor: readonly number[],
  product: readonly number[],
  scrapes: readonly Scraped[],
): readonly Row[] {
  const cost = median(product.map((percent, round) => percent - (floor[round] ?? 0)));
  const took = scrapes.map(({ tookMs }) => tookMs);
  return [
    {
      budget: 'metrics < 1 %',
      work: `/metrics of ${AGENTS} agents each second, ${WINDOW_S} s: processor of the host`,
      floor: `${median(floor).toFixed(2)} %`,
      product: `${median(product).toFixed(2)} %`,
      ratio: `+${cost.toFixed(2)} %`,
      isWithin: cost < 1,
    },
    {
      budget: 'metrics (answer)',
      work: `the same: median and p99 of ${took.length}, ${Math.round((scrapes[0]?.bytes ?? 0) / 1024)} KiB`,
      floor: '',
      product: `${inMs(median(took))}, ${inMs(quantile(took, 0.99))}`,
      ratio: '',
      isWithin: undefined,
    },
  ];
}

/** As Prometheus would: over the port, with the token. */
async function scraperOf(
  announcement: string,
  scrapes: Scraped[],
): Promise<(seconds: number) => Promise<void>> {
  const { http } = JSON.parse(await readFile(announcement, 'utf8')) as {
    http: { host: string; port: number; token_file: string };
  };
  const url = `http://${http.host}:${http.port}/metrics`;
  const headers = { authorization: `Bearer ${(await readFile(http.token_file, 'utf8')).trim()}` };
  const scrape = async (): Promise<void> => {
    const startedAt = performance.now();
    const response = await fetch(url, { headers });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`/metrics answered ${response.status}: ${text}`);
    scrapes.push({ tookMs: performance.now() - startedAt, bytes: text.length });
  };
  return async (seconds) => {
    for (let second = 0; second < seconds; second += 1) await Promise.all([scrape(), sleep(1_000)]);
  };
}

/** Of one core, all threads of the process together, while `work` is done. */
async function percentOf(pid: number, work: () => Promise<unknown>): Promise<number> {
  const [before, startedAt] = [await ticksOf(pid), performance.now()];
  await work();
  const seconds = (performance.now() - startedAt) / 1_000;
  return (((await ticksOf(pid)) - before) / TICKS_PER_SECOND / seconds) * 100;
}

async function ticksOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const [, user, system] = /^(?:\S+ ){11}(\d+) (\d+)/.exec(stat.slice(stat.lastIndexOf(')') + 2)) ?? [];
  return Number(user) + Number(system);
}
