/** An agent process that is stuck in its own code while everything that watches it dies. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually } from '../fixtures/chat.ts';
import { startFleet } from '../fixtures/fleet-process.ts';

const HANGING = fileURLToPath(new URL('../fixtures/bridges/hanging.mjs', import.meta.url));

test('an agent process that hangs does not outlive its supervisor, and the next one has its directory', async (t) => {
  let dir = '';
  const fleet = await startFleet(t, {
    agents: ['stuck'],
    isolation: 'process',
    args: ['--no-watchdog'],
    yaml: () => `supervisor: { hang_ms: 600000 }\nchannels: { hanging: { dir: ${dir} } }\n`,
    prepare: async (place) => {
      dir = join(place, 'stuck');
      await mkdir(join(dir, 'bridges'), { recursive: true });
      await copyFile(HANGING, join(dir, 'bridges/hanging.mjs'));
    },
  });
  const order = join(dir, 'order');
  await writeFile(order, 'loop');
  await eventually(() => !existsSync(order), 'it hangs');
  await eventually(() => fleet.processes().length >= 2, 'a host and an agent');
  fleet.kill('SIGKILL');
  assert.ok(await eventually(() => fleet.processes().length === 0, 'the agent is gone'));
  await fleet.start();
  await fleet.stop();
});
