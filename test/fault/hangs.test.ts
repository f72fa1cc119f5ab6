/** An agent that hangs is read, ended and started again; one that is merely away is waited for; neighbours serve on. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openChat } from '../fixtures/chat.ts';
import type { Told } from '../fixtures/command.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { IS_WHOLE, isolations } from '../fixtures/matrix.ts';

const BRIDGE = fileURLToPath(new URL('../fixtures/bridges/hanging.mjs', import.meta.url));

const HANGS = [
  { kind: 'loop', place: 'endlessLoop' },
  { kind: 'microtasks', place: 'endlessMicrotasks' },
  { kind: 'regex', place: 'catastrophicRegex' },
  { kind: 'wait', place: 'waitsForNobody' },
  { kind: 'swallow', place: 'swallowsEverything' },
] as const;
/** A process is read and ended as a thread is: one that computes and one that does not will do. */
const HANGS_OF = {
  thread: HANGS,
  process: HANGS.filter(({ kind }) => IS_WHOLE || kind === 'loop' || kind === 'wait'),
};

// Most of the time is waiting: for a judge, or for a call of ten seconds to return.
describe('an agent that hangs', { concurrency: 2 }, () => {
  for (const isolation of isolations('thread', 'process')) {
    const kinds = HANGS_OF[isolation];
    test(`an agent that hangs in JavaScript is told with its function and line, and is ready again (${isolation})`, async (t) => {
      const fleet = await startHanging(t, isolation);
      const neighbour = await openChat(t, fleet.agent('calm').wsUrl, { clientId: 'neighbour' });
      for (const [index, { kind, place }] of kinds.entries()) {
        const orderedMs = performance.now();
        const sinceOrder = after(fleet);
        order(fleet, kind);
        await fleet.event(sinceOrder(isTold('hanging', 0, ({ state }) => state === 'hung')), `${kind}: hung`);
        assert.equal((await neighbour.ask(`during ${kind}`)).text, `echo: during ${kind}`);
        // On a busy machine it may not answer at once: it is told as stalled then, and read again.
        const isHang = (event: Told) => event.kind === 'hung' && isIncident(0)(event);
        const incident = await fleet.event(sinceOrder(isHang), `${kind}: incident`);
        const text = String(incident.text);
        assert.match(
          text,
          new RegExp(`^hung for \\d\\.\\d s in ${place} \\(bridges/hanging\\.mjs:\\d+\\), bridge hanging`),
        );
        assert.match(text, /: interrupted and restarted$/);
        await fleet.event(isUp(index + 1), `${kind}: up again`);
        t.diagnostic(`${kind}: ready again ${Math.round(performance.now() - orderedMs)} ms after the order`);
        const record = JSON.parse(readFileSync(String(incident.file), 'utf8'));
        assert.equal(record.outcome, 'ended');
        assert.equal(record.activities.at(-1)?.what, 'bridge hanging');
        assert.ok(record.heap_used_bytes > 0);
        assert.match(record.stack.join(), new RegExp(place));
        assert.ok(record.output.includes(`hangs in ${kind} with the token [secret]`), record.output.join());
        assert.ok(!readFileSync(String(incident.file), 'utf8').includes('hidden-s3cret'));
      }
      const last = await openChat(t, fleet.agent('hanging').wsUrl, { clientId: 'after' });
      assert.equal((await last.ask('again')).text, 'echo: again');
      assert.ok(neighbour.isOpen(), 'the socket of before all hangs');
      assert.equal(
        fleet.events.filter((event) => event.id === 'calm' && event.state === 'running').length,
        1,
      );
      const hangs = fleet.events.filter(({ type, kind }) => type === 'incident' && kind === 'hung');
      assert.equal(hangs.length, kinds.length);
      const files = readdirSync(join(fleet.agent('hanging').dir, 'logs/incidents'));
      assert.ok(files.length >= kinds.length, files.join());
      await fleet.stop();
    });
  }

  for (const isolation of isolations('thread')) {
    test(`an agent in a native call of ten seconds is told as stalled and comes back by itself (${isolation})`, async (t) => {
      const fleet = await startHanging(t, isolation);
      const chat = await openChat(t, fleet.agent('hanging').wsUrl, { clientId: 'patient' });
      order(fleet, 'native');
      const stalled = await fleet.event(
        ({ type, kind }) => type === 'incident' && kind === 'stalled',
        'stalled',
      );
      assert.match(String(stalled.text), /^stalled for \d\.\d s, bridge hanging/);
      const answer = chat.ask('while it is away');
      assert.equal((await answer).text, 'echo: while it is away');
      const states = fleet.events.filter(({ type, id }) => type === 'agent' && id === 'hanging');
      assert.deepEqual(
        states.map(({ restarts }) => restarts).filter((count) => count !== 0),
        [],
      );
      await fleet.event(
        isTold('hanging', 1, ({ state }) => state === 'running'),
        'running again',
      );
      await fleet.stop();
    });
  }

  test('an agent that hangs is not excused by its own configuration of other agents, and waits as long as told', async (t) => {
    const fleet = await startHanging(t, 'thread', 'supervisor: { hang_ms: 4000 }\n');
    order(fleet, 'loop');
    const incident = await fleet.event(isIncident(0), 'incident');
    assert.match(String(incident.text), /^hung for [34]\.\d s/);
    await fleet.event(isUp(1), 'up again');
    await fleet.stop();
  });
});

function startHanging(t: TestContext, isolation: 'thread' | 'process', more = ''): Promise<FleetProcess> {
  let place = '';
  return startFleet(t, {
    agents: ['hanging', 'calm'],
    isolation,
    prepare: (directory) => {
      place = directory;
      const bridges = join(directory, 'hanging', 'bridges');
      mkdirSync(bridges, { recursive: true });
      cpSync(BRIDGE, join(bridges, 'hanging.mjs'));
    },
    yaml: (id) =>
      id === 'calm'
        ? 'model: { provider: echo }\n'
        : `model: { provider: echo }\nchannels:\n  hanging: { dir: ${join(place, id)}, bot_token: hidden-s3cret }\n${more}`,
  });
}

/** Whole at once: the bridge may look at any moment. */
function order(fleet: FleetProcess, kind: string): void {
  const file = join(fleet.agent('hanging').dir, 'order');
  writeFileSync(`${file}.tmp`, kind);
  renameSync(`${file}.tmp`, file);
}

/** Only what is told from now on. */
function after(fleet: FleetProcess) {
  const from = fleet.events.length;
  return (fits: (event: Told) => boolean) => (event: Told) =>
    fleet.events.indexOf(event) >= from && fits(event);
}

/** The event that fits and comes after `count` others that did. */
function isTold(id: string, count: number, fits: (event: Told) => boolean) {
  const seen = new Set<Told>();
  return (event: Told): boolean => {
    if (event.type !== 'agent' || event.id !== id || !fits(event)) return false;
    seen.add(event);
    return seen.size > count;
  };
}

function isIncident(count: number) {
  const seen = new Set<Told>();
  return (event: Told): boolean => {
    if (event.type !== 'incident' || event.id !== 'hanging') return false;
    seen.add(event);
    return seen.size > count;
  };
}

function isUp(restarts: number) {
  return (event: Told): boolean =>
    event.type === 'agent' &&
    event.id === 'hanging' &&
    event.state === 'running' &&
    event.restarts === restarts;
}
