/** What one agent leaves behind in its host when it is restarted: nothing, however often. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Told } from '../fixtures/command.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 12);
const IS_LONG = RUNS >= 100;
const RESTARTS = { thread: IS_LONG ? 300 : 12, process: IS_LONG ? 75 : 3 } as const;
/** Before anything is measured: pools fill, caches and compiled code settle. */
const WARM_UP = { thread: IS_LONG ? 30 : 8, process: IS_LONG ? 60 : 3 } as const;
/**
 * Per restart. What stays of a thread would be some 10 MB. The resident set moves by a few megabytes with whatever V8
 * compiles and collects, so a few restarts can only show that; the heap after a collection shows objects as well.
 */
const RESIDENT_BYTES_MAX = IS_LONG ? 64 * 1024 : 4 * 1024 * 1024;
const HEAP_BYTES_MAX = IS_LONG ? 4 * 1024 : 1024 * 1024;
/** Deadlines of what has ended run out by themselves, within a second. */
const REST_MS = 20_000;
const REST_POLL_MS = 100;

const PRELOAD = new URL('../fixtures/host-figures.mjs', import.meta.url).href;

interface Sample {
  readonly descriptors: number;
  readonly threads: number;
  readonly timers: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
}

for (const isolation of ['thread', 'process'] as const) {
  const restarts = RESTARTS[isolation];
  const skip = process.platform === 'linux' ? false : 'there is no /proc';
  test(`${restarts} restarts of an agent leave no descriptor, thread, timer or memory in the host (${isolation})`, {
    skip,
  }, async (t) => {
    const fleet = await startCounted(t, isolation);
    const { timers } = await sampleOf(fleet);
    const samples: Sample[] = [];
    const count = WARM_UP[isolation] + restarts;
    for (let restart = 1; restart <= count; restart++) {
      await restartOnce(fleet, restart);
      const sample = await sampleOf(fleet);
      if (restart > WARM_UP[isolation]) samples.push(sample);
    }
    const third = Math.floor(restarts / 3);
    const slopes = new Map<keyof Sample, number>();
    for (const key of ['descriptors', 'threads', 'residentBytes', 'heapBytes'] as const) {
      const [before, after] = [median(samples.slice(0, third), key), median(samples.slice(-third), key)];
      const slope = (after - before) / (restarts - third);
      slopes.set(key, slope);
      t.diagnostic(`${isolation}, ${key}: ${before} → ${after}, ${slope.toFixed(1)} per restart`);
    }
    const timersLeft = await timersAtRest(fleet, timers);
    t.diagnostic(`${isolation}, timers: ${timers} → ${timersLeft}`);
    assert.equal(slopes.get('descriptors'), 0, 'descriptors');
    assert.equal(slopes.get('threads'), 0, 'threads');
    assert.ok(timersLeft <= timers, 'timers');
    assert.ok((slopes.get('residentBytes') ?? Infinity) < RESIDENT_BYTES_MAX, 'resident memory');
    assert.ok((slopes.get('heapBytes') ?? Infinity) < HEAP_BYTES_MAX, 'heap');
    await fleet.stop();
  });
}

/** How many there are once as few are left as there were at first, or at the deadline. */
async function timersAtRest(fleet: FleetProcess, before: number): Promise<number> {
  const endMs = performance.now() + REST_MS;
  for (;;) {
    const { timers } = await sampleOf(fleet);
    if (timers <= before || performance.now() > endMs) return timers;
    await delay(REST_POLL_MS);
  }
}

function startCounted(t: TestContext, isolation: 'thread' | 'process'): Promise<FleetProcess> {
  return startFleet(t, {
    isolation,
    env: { NODE_OPTIONS: `--import=${PRELOAD}` },
  });
}

/** Resolves when the next incarnation serves: by then the one before has ended, and is to have left nothing. */
async function restartOnce(fleet: FleetProcess, restart: number): Promise<void> {
  const response = await fetch(`${fleet.agent('a1').url}/api/restart`, {
    method: 'POST',
    headers: { connection: 'close' },
  });
  assert.equal(response.status, 200);
  await response.arrayBuffer();
  const isUp = ({ type, id, state, restarts }: Told) =>
    type === 'agent' && id === 'a1' && state === 'running' && restarts === restart;
  await fleet.event(isUp, `restart ${restart}`);
}

async function sampleOf(fleet: FleetProcess): Promise<Sample> {
  const pid = fleet.hostPid;
  const known = new Set(fleet.events.filter(isFigures));
  const entries = () => ['fd', 'task'].map((kind) => readdirSync(`/proc/${pid}/${kind}`).length);
  const before = entries();
  process.kill(pid, 'SIGUSR2');
  const figures = await fleet.event((event) => isFigures(event) && !known.has(event), 'figures');
  // A file that is open for a moment is no leak.
  const [descriptors = 0, threads = 0] = entries().map((now, kind) => Math.min(now, before[kind] ?? now));
  return {
    descriptors,
    threads,
    timers: Number(figures.timers),
    residentBytes: residentBytesOf(pid),
    heapBytes: Number(figures.heapBytes),
  };
}

const isFigures = ({ type }: Told): boolean => type === 'figures';

function residentBytesOf(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  assert.ok(kilobytes);
  return Number(kilobytes) * 1024;
}

function median(samples: readonly Sample[], key: keyof Sample): number {
  const sorted = samples.map((sample) => sample[key]).sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  assert.ok(middle !== undefined);
  return middle;
}
