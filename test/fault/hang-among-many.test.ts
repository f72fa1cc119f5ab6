/** One agent of many hangs: the incident names the place, all others answer on the sockets they have, none is restarted. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Chat, openChat } from '../fixtures/chat.ts';
import type { Told } from '../fixtures/command.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { IS_WHOLE, isolations } from '../fixtures/matrix.ts';

const BRIDGE = fileURLToPath(new URL('../fixtures/bridges/hanging.mjs', import.meta.url));
const AGENTS = IS_WHOLE ? 20 : 4;
/** Fewer than `supervisor.intensity` allows. */
const HANGS = Math.min(Number(process.env.OPENAGENT_TEST_RUNS ?? 1), 3);
/** Between a neighbour's turns: what is looked at is that it answers, not how much. */
const PAUSE_MS = 50;
const ROUNDS_BEFORE = 5;
const NEIGHBOURS = Array.from({ length: AGENTS - 1 }, (_, at) => `calm${at + 1}`);

for (const isolation of isolations('thread')) {
  test(`with one of ${AGENTS} agents in an endless loop the others answer, and only that one is restarted (${isolation})`, async (t) => {
    const fleet = await startOneHanging(t, isolation);
    const chats = await Promise.all(
      NEIGHBOURS.map((id) => openChat(t, fleet.agent(id).wsUrl, { clientId: `beside-${id}` })),
    );
    for (let hang = 1; hang <= HANGS; hang += 1) {
      const before = await ask(chats, (round) => round === ROUNDS_BEFORE);
      const orderedMs = performance.now();
      const isTold = laterThan(fleet.events.length, fleet);
      order(fleet);
      const isUp = ({ id, state, restarts }: Told) =>
        id === 'hanging' && state === 'running' && restarts === hang;
      let tookMs: number | undefined;
      const up = fleet.event(isTold(isUp), 'up again').finally(() => {
        tookMs = performance.now() - orderedMs;
      });
      const [during] = await Promise.all([ask(chats, () => tookMs !== undefined), up]);
      const isHang = ({ type, kind }: Told) => type === 'incident' && kind === 'hung';
      const incident = await fleet.event(isTold(isHang), 'incident');
      assert.equal(incident.id, 'hanging');
      const [, line] =
        /^hung for [\d.]+ s in endlessLoop \(bridges\/hanging\.mjs:(\d+)\), bridge hanging: /.exec(
          String(incident.text),
        ) ?? [];
      assert.ok(isLineOfLoop(Number(line)), String(incident.text));
      const figures = `neighbours' p99 ${p99(during)} of ${during.length}, before ${p99(before)} of ${before.length}`;
      t.diagnostic(`ready again ${Math.round(tookMs ?? Number.NaN)} ms after the order; ${figures}`);
    }
    assert.ok(
      chats.every((chat) => chat.isOpen()),
      'the sockets of before all hangs',
    );
    const starts = fleet.events.filter(({ type, state }) => type === 'agent' && state === 'running');
    for (const id of NEIGHBOURS) {
      const told = fleet.events.filter((event) => event.type === 'agent' && event.id === id);
      assert.equal(starts.filter((event) => event.id === id).length, 1, `${id} was started once`);
      assert.ok(
        told.every(({ restarts }) => restarts === 0),
        JSON.stringify(told),
      );
    }
    const blamed = fleet.events.filter(({ type, kind }) => type === 'incident' && kind === 'hung');
    assert.deepEqual(
      blamed.map(({ id }) => id),
      Array.from({ length: HANGS }, () => 'hanging'),
    );
    await fleet.stop();
  });
}

function startOneHanging(t: TestContext, isolation: 'thread' | 'process'): Promise<FleetProcess> {
  let place = '';
  return startFleet(t, {
    agents: ['hanging', ...NEIGHBOURS],
    isolation,
    prepare: (directory) => {
      place = directory;
      mkdirSync(join(directory, 'hanging/bridges'), { recursive: true });
      cpSync(BRIDGE, join(directory, 'hanging/bridges/hanging.mjs'));
    },
    yaml: (id) => (id === 'hanging' ? `channels:\n  hanging: { dir: ${join(place, id)} }\n` : ''),
  });
}

/** One question after the other to each; how long each answer took. Fails where one is no echo. */
async function ask(chats: readonly Chat[], isEnough: (round: number) => boolean): Promise<readonly number[]> {
  const tookMs: number[] = [];
  const loops = chats.map(async (chat) => {
    for (let round = 1; ; round += 1) {
      const askedMs = performance.now();
      assert.equal((await chat.ask('are you there')).text, 'echo: are you there');
      tookMs.push(performance.now() - askedMs);
      if (isEnough(round)) return;
      await delay(PAUSE_MS);
    }
  });
  await Promise.all(loops);
  return tookMs;
}

/** Whole at once: the bridge may look at any moment. */
function order(fleet: FleetProcess): void {
  const file = join(fleet.agent('hanging').dir, 'order');
  writeFileSync(`${file}.tmp`, 'loop');
  renameSync(`${file}.tmp`, file);
}

/** Only what is told from then on. */
function laterThan(count: number, fleet: FleetProcess) {
  return (isIt: (event: Told) => boolean) => (event: Told) =>
    isIt(event) && fleet.events.indexOf(event) >= count;
}

function isLineOfLoop(line: number): boolean {
  const lines = readFileSync(BRIDGE, 'utf8').split('\n');
  return (
    lines[line - 2]?.includes('function endlessLoop') === true && lines[line - 1]?.trim() === 'for (;;);'
  );
}

function p99(tookMs: readonly number[]): string {
  const sorted = [...tookMs].sort((one, other) => one - other);
  return `${(sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN).toFixed(1)} ms`;
}
