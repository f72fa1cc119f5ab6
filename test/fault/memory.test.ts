/** An agent that holds too much memory is ended and started again, and its neighbours do not notice. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually, openChat } from '../fixtures/chat.ts';
import type { Told } from '../fixtures/command.ts';
import { type FleetProcess, type FleetProcessOptions, startFleet } from '../fixtures/fleet-process.ts';
import { type Isolation, isolations } from '../fixtures/matrix.ts';

const BRIDGE = fileURLToPath(new URL('../fixtures/bridges/hoarder.mjs', import.meta.url));
/** A process brings some 70 MB of its own. */
const HARD_MB = { thread: 150, process: 220 } as const;
const SOFT_MB = { thread: 100, process: 180 } as const;
const GROWTHS: readonly { growth: string; among: readonly Isolation[] }[] = [
  { growth: 'push', among: isolations('thread', 'process') },
  { growth: 'buffers', among: isolations('thread') },
  { growth: 'push slowly', among: isolations('thread') },
  { growth: 'buffers slowly', among: isolations('process') },
];

// Most of the time is waiting, for a measurement or for a pause before the next start.
describe('an agent that holds too much', { concurrency: 3 }, () => {
  for (const { growth, among } of GROWTHS) {
    for (const isolation of among) {
      test(`growth by ${growth} ends at the hard limit (${isolation})`, async (t) => {
        const fleet = await startHoarder(t, `memory_hard_mb: ${HARD_MB[isolation]}`, { isolation });
        const { hostPid } = fleet;
        const neighbour = await openChat(t, fleet.agent('calm').wsUrl, { clientId: 'neighbour' });
        await command(fleet, growth);
        const down = await fleet.event(isState('hoarder', 'backoff'), 'down');
        assert.equal((await neighbour.ask('while it is down')).text, 'echo: while it is down');
        const { code, message } = down.reason as { code: string; message: string };
        assert.equal(code, 'agent.memory', message);
        assert.match(message, /memory_hard_mb|filled its heap/);
        await fleet.event(isUp(1), 'up again');
        assert.ok(neighbour.isOpen(), 'the socket of before');
        assert.equal(fleet.hostPid, hostPid, 'the host lives on');
        assert.equal(fleet.events.filter(isState('calm', 'running')).length, 1);
        await fleet.stop();
      });
    }
  }

  for (const isolation of isolations('thread')) {
    test(`at the soft limit an agent is restarted when it rests, and is not charged for it (${isolation})`, async (t) => {
      const limits = `memory_soft_mb: ${SOFT_MB[isolation]}, stable_ms: 500, intensity: 0`;
      const fleet = await startHoarder(t, limits, { isolation });
      await command(fleet, 'hold 150');
      await fleet.event(isUp(1), 'up again');
      const warning = fleet.events.find(({ type }) => type === 'warning');
      assert.equal(warning?.code, 'agent.memory', JSON.stringify(warning));
      assert.deepEqual(fleet.events.filter(isState('hoarder', 'backoff')), [], 'it did not crash');
      await fleet.stop();
    });
  }
});

async function startHoarder(
  t: TestContext,
  supervisor: string,
  options: FleetProcessOptions,
): Promise<FleetProcess> {
  return startFleet(t, {
    ...options,
    agents: ['hoarder', 'calm'],
    yaml: (id) =>
      id === 'calm'
        ? 'model: { provider: echo }\n'
        : `channels: { hoarder: {} }\nsupervisor: { backoff_ms_min: 50, backoff_ms_max: 100, hang_ms: 60000, ${supervisor} }\n`,
    prepare: (place) => {
      mkdirSync(join(place, 'hoarder/bridges'), { recursive: true });
      cpSync(BRIDGE, join(place, 'hoarder/bridges/hoarder.mjs'));
    },
  });
}

/** Resolves when the bridge has taken it. */
async function command(fleet: FleetProcess, text: string): Promise<void> {
  const file = join(fleet.place, 'command');
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
  await eventually(() => !existsSync(file), `the bridge takes ${text}`);
}

const isState =
  (id: string, state: string) =>
  (event: Told): boolean =>
    event.type === 'agent' && event.id === id && event.state === state;

const isUp =
  (count: number) =>
  (event: Told): boolean =>
    isState('hoarder', 'running')(event) && event.restarts === count;
