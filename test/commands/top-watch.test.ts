/** How `top` asks the fleet: each second, through its ends, and never another fleet than the one that is watched. */
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openFleetSource } from '../../src/commands/top/fleet-source.ts';
import type { TopEvent } from '../../src/commands/top/top-state.ts';
import { type TopSource, watchFleet } from '../../src/commands/top/watch-fleet.ts';
import { AppError } from '../../src/contract/errors.ts';
import type { FleetAgent } from '../../src/contract/fleet/schemas.ts';
import { fleetAgent, fleetOf } from '../fixtures/fleet-of.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Answers when it is told to. */
function slowSource() {
  const asked: { resolve(agents: readonly FleetAgent[]): void; reject(error: Error): void }[] = [];
  let isClosed = false;
  const source: TopSource = {
    fleet: async () => fleetOf(),
    agents: () => new Promise((resolve, reject) => asked.push({ resolve, reject })),
    act: async (id, action) => {
      if (action === 'release') throw new AppError('agent.action_refused', 'it is not in quarantine');
      return fleetAgent({ id, state: 'stopping' });
    },
    close: () => {
      isClosed = true;
    },
  };
  return { source, asked, isClosed: () => isClosed };
}

test('the fleet is asked each second, and not again before it has answered', async () => {
  const clock = createTestClock();
  const { source, asked, isClosed } = slowSource();
  const told: TopEvent[] = [];
  const watch = watchFleet(source, clock, (event) => told.push(event));
  assert.equal(asked.length, 1);
  clock.advance(5_000);
  await settled();
  assert.equal(asked.length, 1, 'still waiting');
  asked[0]?.resolve([fleetAgent({ id: 'a' })]);
  await settled();
  assert.deepEqual(
    told.map(({ kind }) => kind),
    ['seen'],
  );
  clock.advance(0);
  assert.equal(asked.length, 2, 'a late answer is followed at once');
  asked[1]?.reject(new Error('gone'));
  await settled();
  assert.deepEqual(told.at(-1), { kind: 'lost', reason: 'gone', nowMs: clock.wallMs() });
  clock.advance(999);
  assert.equal(asked.length, 2);
  clock.advance(1);
  assert.equal(asked.length, 3, 'also while nobody answers');
  watch.stop();
  asked[2]?.resolve([]);
  await settled();
  clock.advance(10_000);
  assert.deepEqual([told.length, asked.length, isClosed()], [2, 3, true]);
});

test('what an action did is seen at once, not by an answer that was on its way before', async () => {
  const clock = createTestClock();
  const { source, asked } = slowSource();
  const told: TopEvent[] = [];
  const watch = watchFleet(source, clock, (event) => told.push(event));
  watch.act('a', 'restart');
  await settled();
  assert.deepEqual(
    told.map(({ kind }) => kind),
    ['acted'],
  );
  asked[0]?.resolve([]);
  await settled();
  clock.advance(0);
  assert.equal(asked.length, 2);
  watch.act('a', 'release');
  await settled();
  const last = told.at(-1);
  assert.ok(last?.kind === 'refused');
  assert.equal(last.message, 'it is not in quarantine');
  watch.stop();
});

interface Place {
  readonly runDir: string;
  readonly context: Parameters<typeof openFleetSource>[1];
  /** Announces a fleet that answers, under the pid of this process, which lives. */
  announce(name: string, dirs: readonly string[], startedAt: number): Promise<Server>;
  withdraw(name: string, server: Server): Promise<void>;
}

function makePlace(t: TestContext): Place {
  const runDir = mkdtempSync(join(tmpdir(), 'openagent-top-'));
  t.after(() => rm(runDir, { recursive: true, force: true }));
  const file = (name: string): string => join(runDir, `${name}.json`);
  return {
    runDir,
    context: { env: { OPENAGENT_RUN_DIR: runDir }, homeDir: runDir, cwd: '/', wallMs: Date.now },
    async announce(name, dirs, startedAt) {
      const socket = join(runDir, `${name}.sock`);
      const server = createServer((request, response) => {
        const body = request.url === '/api/fleet' ? fleetOf({ version: name }) : [fleetAgent({ id: name })];
        response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
      });
      t.after(() => server.close());
      await new Promise<void>((resolve) => server.listen(socket, resolve));
      const announcement = {
        ...{ pid: process.pid, version: '0.1.0', started_at: startedAt, socket, http: null },
        ...{ cwd: '/srv', dirs },
      };
      await writeFile(file(name), JSON.stringify(announcement));
      return server;
    },
    async withdraw(name, server) {
      await rm(file(name));
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('a fleet that ends is lost, and the one that takes its agents over is found', async (t) => {
  const place = makePlace(t);
  const first = await place.announce('1', ['/srv/a', '/srv/b'], 1_000);
  const source = await openFleetSource(undefined, place.context);
  t.after(() => source.close());
  assert.deepEqual(
    (await source.agents()).map(({ id }) => id),
    ['1'],
  );
  await place.announce('2', ['/srv/other'], 1_001);
  await place.withdraw('1', first);
  await assert.rejects(source.agents(), { code: 'fleet.lost' });
  await assert.rejects(source.agents(), { code: 'fleet.not_found' }, 'the other one ran before');
  await place.announce('3', ['/srv/b', '/srv/c'], 1_002);
  assert.deepEqual(
    (await source.agents()).map(({ id }) => id),
    ['3'],
  );
  assert.equal((await source.fleet()).version, '3');
});

test('a fleet with other agents is taken for the new one only if it started since', async (t) => {
  const place = makePlace(t);
  const first = await place.announce('1', ['/srv/a'], 1_000);
  const source = await openFleetSource(undefined, place.context);
  t.after(() => source.close());
  await source.fleet();
  await place.withdraw('1', first);
  await assert.rejects(source.fleet(), { code: 'fleet.lost' });
  await place.announce('2', ['/srv/new'], Date.now() / 1000 + 1);
  assert.equal((await source.fleet()).version, '2');
});

test('without a fleet there is nothing to watch', async (t) => {
  await assert.rejects(openFleetSource(undefined, makePlace(t).context), { code: 'fleet.not_found' });
});
