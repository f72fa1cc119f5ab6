/** Who is charged with the death of a host, from what the crumbs say. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { openBreadcrumbs } from '../../src/actors/breadcrumbs.ts';
import {
  type Breadcrumb,
  CRUMB_BYTES,
  createCrumbWriter,
  parseBreadcrumb,
} from '../../src/contract/breadcrumb.ts';
import { ACTIVITY_KINDS, type ActivityKind, createVitals } from '../../src/contract/vitals.ts';
import { readBreadcrumb } from '../../src/supervisor/read-breadcrumb.ts';
import { type HostDeath, judgeDeath, KILLS_MAX, withCharge } from '../../src/supervisor/suspects.ts';
import { createAftermath } from '../../src/supervisor/watchdog-aftermath.ts';
import { type HostMemory, MemoryKeeper, NO_PAST, parseMemory } from '../../src/supervisor/watchdog-memory.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';

const DEATH: HostDeath = { pid: 7, how: 'SIGSEGV', recent: 1, total: 1 };
const MEMORY: HostMemory = {
  ...{ boot: 'b1', agents: {}, suspects: [], onTrial: undefined, culprit: undefined },
  added: [],
};

function crumbs(doing: Readonly<Record<string, readonly ActivityKind[]>>, boot = 'b1') {
  return new Map(
    Object.entries(doing).map(([id, kinds]): [string, Breadcrumb] => [
      id,
      {
        pid: DEATH.pid,
        boot,
        incarnation: 1,
        activities: kinds.map((kind) => ({ kind, detail: `${kind} of ${id}`, sinceMs: 0 })),
      },
    ]),
  );
}

test('nobody in the middle of anything: nobody is charged, and the budget of the host pays', () => {
  const verdict = judgeDeath(DEATH, MEMORY, crumbs({ a: [], b: [] }));
  assert.deepEqual([verdict.charged, verdict.isForgiven, verdict.alone], [undefined, false, []]);
});

test('one in the code of its bridge is charged and tried alone, and the message says with what', () => {
  const verdict = judgeDeath(
    DEATH,
    MEMORY,
    crumbs({ a: ['bridge', 'storage'], b: ['storage'], c: ['model'] }),
  );
  assert.equal(verdict.charged?.id, 'a');
  assert.equal(verdict.charged?.reason.code, 'agent.crashed');
  assert.equal(
    verdict.charged?.reason.message,
    'the host died (SIGSEGV) while this agent was in bridge of a',
  );
  assert.ok(verdict.isForgiven);
  assert.deepEqual(
    verdict.alone,
    ['a'],
    'else agents that start beside it next time would be suspects as well',
  );
});

test('two in their own code are charged with nothing and started alone', () => {
  const verdict = judgeDeath(DEATH, MEMORY, crumbs({ a: ['bridge'], b: ['tool'], c: ['storage'] }));
  assert.deepEqual([verdict.charged, verdict.alone], [undefined, ['a', 'b']]);
});

test('what a busy fleet does anyway counts against one, against several only when the host dies on', () => {
  const one = judgeDeath(DEATH, MEMORY, crumbs({ a: ['storage'], b: [] }));
  assert.equal(one.charged?.id, 'a');
  assert.equal(one.isForgiven, false);
  const many = crumbs({ a: ['storage'], b: ['model'], c: [] });
  assert.deepEqual(judgeDeath(DEATH, MEMORY, many).alone, []);
  assert.deepEqual(judgeDeath({ ...DEATH, recent: 3 }, MEMORY, many).alone, ['a', 'b']);
});

test('crumbs of an earlier life of the host say nothing', () => {
  assert.equal(judgeDeath(DEATH, MEMORY, crumbs({ a: ['bridge'] }, 'b0')).charged, undefined);
});

test('whoever was on trial did it, whatever others were doing; those still to be tried come before it', () => {
  const memory = { ...MEMORY, suspects: ['a', 'b', 'c'], onTrial: 'a' };
  const verdict = judgeDeath(DEATH, memory, crumbs({ a: [], b: [], d: ['bridge'] }));
  assert.equal(verdict.charged?.id, 'a');
  assert.deepEqual(verdict.alone, ['b', 'c', 'a']);
});

test('an agent because of which the host was replaced is charged', () => {
  const verdict = judgeDeath(DEATH, { ...MEMORY, culprit: 'a' }, crumbs({ b: ['bridge'] }));
  assert.equal(verdict.charged?.id, 'a');
});

test('the third death within ten minutes ends in quarantine, a slower one does not', () => {
  const verdict = judgeDeath(DEATH, MEMORY, crumbs({ a: ['bridge'] }));
  const charge = (gapMs: number) => {
    let past = NO_PAST;
    for (let kill = 0; kill < KILLS_MAX; kill++) past = withCharge(past, verdict, kill * gapMs);
    return past;
  };
  assert.equal(charge(60_000).state, 'quarantined');
  assert.match(charge(60_000).reason?.message ?? '', /2 times within 10 minutes/);
  assert.equal(charge(400_000).state, 'none');
});

test('whatever crumbs say: at most one is charged, on strong evidence it alone is tried next, and only known agents', () => {
  const kinds = fc.array(fc.constantFrom(...ACTIVITY_KINDS), { maxLength: 3 });
  const fleet = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), kinds, { noNullPrototype: true });
  fc.assert(
    fc.property(fleet, fc.integer({ min: 1, max: 6 }), (doing, recent) => {
      const { charged, alone, isForgiven } = judgeDeath({ ...DEATH, recent }, MEMORY, crumbs(doing));
      const ids = Object.keys(doing);
      assert.ok(charged === undefined || ids.includes(charged.id), 'a known agent');
      if (charged) assert.deepEqual(alone, isForgiven ? [charged.id] : []);
      else assert.notEqual(alone.length, 1);
      assert.ok(alone.every((id) => ids.includes(id)) && new Set(alone).size === alone.length);
      assert.ok(charged !== undefined || !isForgiven);
    }),
  );
});

test('a crumb on disk is one line of fixed size that says what is under way, and nothing once that is over', async (t) => {
  const dir = await place(t);
  const vitals = createVitals();
  const written = openBreadcrumbs({ dir, boot: 'b1', incarnation: 2, clock: { wallMs: () => 1_000 } });
  vitals.onChange = written.write;
  const leave = vitals.enter('bridge', 'bridge wetter "ü"');
  vitals.enter('storage', 'commit of 12')();
  assert.equal((await readFile(join(dir, '.crumb'))).length, CRUMB_BYTES);
  const crumb = await readBreadcrumb(dir);
  assert.deepEqual(
    crumb?.activities.map(({ kind, detail }) => `${kind}: ${detail}`),
    ['bridge: bridge wetter ???'],
  );
  assert.deepEqual([crumb?.pid, crumb?.boot, crumb?.incarnation], [process.pid, 'b1', 2]);
  leave();
  assert.deepEqual((await readBreadcrumb(dir))?.activities, []);
  written.close();
});

test('the crumb of a commit stands before the commit begins, and until the loop has gone round without another', async (t) => {
  const dir = await place(t);
  const vitals = createVitals();
  const written = openBreadcrumbs({ dir, boot: 'b1', incarnation: 2, clock: { wallMs: () => 1_000 } });
  t.after(() => written.close());
  vitals.onChange = written.write;
  const shown = (): readonly string[] | undefined => {
    const crumb = parseBreadcrumb(readFileSync(join(dir, '.crumb'), 'latin1'));
    return crumb?.activities.map(({ kind }) => kind);
  };
  const leave = vitals.enter('storage', 'commit of 12');
  assert.deepEqual(shown(), ['storage']);
  leave();
  for (let turn = 0; turn < 5; turn += 1) {
    await new Promise(setImmediate);
    assert.deepEqual(shown(), ['storage'], 'another one begins in each turn');
    vitals.enter('storage', 'commit of 1')();
  }
  const leaveBridge = vitals.enter('bridge', 'bridge weather');
  assert.deepEqual(shown(), ['bridge'], 'nothing hides what somebody else’s code does');
  leaveBridge();
  assert.deepEqual(shown(), []);
  vitals.enter('storage', 'commit of 1')();
  for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
  assert.deepEqual(shown(), []);
});

test('a crumb that is a pipe, a link, garbage or missing is none, and harms nobody', async (t) => {
  const dir = await place(t);
  assert.equal(await readBreadcrumb(dir), undefined);
  await writeFile(join(dir, '.crumb'), '{"pid":');
  assert.equal(await readBreadcrumb(dir), undefined);
  await mkdir(join(dir, 'linked'));
  await symlink(join(dir, 'elsewhere'), join(dir, 'linked', '.crumb'));
  const blocked = openBreadcrumbs({
    dir: join(dir, 'linked'),
    boot: 'b1',
    incarnation: 1,
    clock: { wallMs: () => 0 },
  });
  blocked.write([]);
  blocked.close();
  await assert.rejects(readFile(join(dir, 'elsewhere')));
});

test('whatever activities there are, a crumb fits its size and is read back', () => {
  const activity = fc.record({
    kind: fc.constantFrom(...ACTIVITY_KINDS),
    detail: fc.string({ unit: 'binary', maxLength: 300 }),
    sinceMs: fc.nat(),
  });
  const toText = createCrumbWriter({ pid: 1, boot: 'b'.repeat(36), incarnation: 1 });
  fc.assert(
    fc.property(fc.array(activity, { maxLength: 20 }), (activities) => {
      const text = toText(activities);
      assert.ok(Buffer.byteLength(text) < CRUMB_BYTES);
      const crumb = parseBreadcrumb(text.padEnd(CRUMB_BYTES));
      assert.ok(crumb);
      assert.equal(crumb.activities.at(-1)?.kind, activities.at(-1)?.kind);
    }),
  );
});

test('the launcher is told once per change, of agents that have something to remember, and not while all stop', async () => {
  const told: HostMemory[] = [];
  const keeper = new MemoryKeeper(MEMORY, (memory) => told.push(memory));
  keeper.record('a', { crashesMs: [], state: 'none', reason: undefined });
  await new Promise(setImmediate);
  assert.equal(told.length, 1, 'nothing new');
  keeper.record('a', { crashesMs: [1], state: 'none', reason: undefined });
  keeper.record('b', { crashesMs: [], state: 'stopped', reason: undefined });
  await new Promise(setImmediate);
  assert.deepEqual(Object.keys(told.at(-1)?.agents ?? {}), ['a', 'b']);
  assert.equal(told.length, 2);
  keeper.close();
  keeper.record('a', { crashesMs: [], state: 'stopped', reason: undefined });
  await new Promise(setImmediate);
  assert.equal(told.length, 2);
});

test('what the launcher kept is taken back; what is not of this shape is nothing', () => {
  const memory: HostMemory = {
    ...MEMORY,
    agents: {
      a: {
        crashesMs: [1, 2],
        state: 'quarantined',
        reason: { code: 'agent.crashed', message: 'm' },
        killsMs: [2],
      },
    },
    suspects: ['a'],
  };
  assert.deepEqual(parseMemory(JSON.parse(JSON.stringify(memory))), memory);
  for (const wrong of [undefined, null, 1, 'x', [], {}, { boot: 1, agents: {} }, { boot: 'b' }]) {
    assert.equal(parseMemory(wrong), undefined);
  }
  assert.deepEqual(parseMemory({ boot: 'b', agents: { a: { state: 'odd' } } })?.agents.a, NO_PAST);
});

test('after a death the charged agent arrives as crashed, once; the others with what they had', async () => {
  const forgiven: number[] = [];
  const memory = {
    ...MEMORY,
    agents: { b: { ...NO_PAST, crashesMs: [5] }, c: { ...NO_PAST, state: 'stopped' as const } },
  };
  const aftermath = createAftermath({
    launched: { memory, death: DEATH },
    clock: createTestClock(),
    remember: () => {},
    forgive: () => forgiven.push(1),
    readCrumb: async (dir) => crumbs({ '/a': ['bridge'] }).get(dir),
  });
  assert.notEqual(aftermath.boot, 'b1');
  await aftermath.judge(['a', 'b', 'c'].map((id) => ({ id, dir: `/${id}` })));
  assert.equal(aftermath.takePast('a')?.state, 'crashed');
  assert.equal(aftermath.takePast('a'), undefined);
  assert.deepEqual(aftermath.takePast('b')?.crashesMs, [5]);
  assert.equal(aftermath.takePast('c')?.state, 'stopped');
  assert.equal(forgiven.length, 1);
  assert.equal(aftermath.keeper.memory.agents.a?.killsMs.length, 1);
});

async function place(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'openagent-crumb-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
