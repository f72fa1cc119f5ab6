/**
 * SIGKILL to everything at seeded random moments under load, on one set of directories that lives through all runs:
 * what a crash leaves behind is the next run's beginning. OPENAGENT_TEST_RUNS and OPENAGENT_TEST_SEED choose the runs.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { isAgent } from '../fixtures/command.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { connectClients, type LoadClient } from '../fixtures/load-clients.ts';
import { checkPromises, type Figures } from '../fixtures/load-promises.ts';
import { seeded } from '../fixtures/seeded-random.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 2);
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 1);
const CLIENTS_PER_AGENT = 4;
/** A kill comes this long after the clients are back at work, at the most. */
const KILL_MS_MAX = 400;
/** So often it is killed once more, within this time of its next start. */
const KILLED_AGAIN = 0.4;
const START_MS = 700;
/** So often a restart or a stop is under way when it is killed, since at most this long. */
const CLOSING = 0.4;
const CLOSING_MS = 200;
const IDS = ['a1', 'a2'] as const;

const FIGURES = ['messages', 'acknowledged', 'resent', 'repeated'] as const;

const TURNS = `SELECT message_id AS id, count(*) AS rows, sum(ended_at IS NULL) AS unfinished
  FROM turns LEFT JOIN turn_outcomes USING (id) GROUP BY client_key, message_id`;

for (const isolation of ['thread', 'process'] as const) {
  test(`kill -9 of everything at random moments breaks no promise (${isolation})`, async (t) => {
    const random = seeded(SEED);
    const fleet = await startFleet(t, {
      agents: IDS,
      isolation,
      yaml: () => 'model: { provider: echo, delay_ms: 1 }\n',
    });
    const totals = { messages: 0, acknowledged: 0, resent: 0, repeated: 0 };
    for (let run = 1; run <= RUNS; run++) {
      const atMs = Math.floor(random() * KILL_MS_MAX);
      const clients = IDS.flatMap((id) =>
        connectClients(t, CLIENTS_PER_AGENT, {
          url: () => fleet.wsUrl(id),
          name: `${id}-run${run}`,
          window: 2,
          text: (messageId) => (random() < 0.3 ? `${messageId} ${'word '.repeat(20)}.` : messageId),
        }),
      );
      await every(clients, (client) => client.answers(1));
      await delay(atMs);
      const isClosing = random() < CLOSING;
      if (isClosing) await beginClosing(fleet, random());
      await fleet.killGroup();
      if (random() < KILLED_AGAIN) await killWhileStarting(fleet, Math.floor(random() * START_MS));
      await fleet.start();
      await every(clients, (client) => client.answers(1));
      await every(clients, (client) => client.finish());
      const figures = checkPromises(clients, { restarts: isClosing ? 'mixed' : 'crash' });
      for (const client of clients) client.terminate();
      for (const id of IDS) checkDatabase(join(fleet.agent(id).dir, 'openagent.db'), clients);
      add(totals, figures);
    }
    t.diagnostic(`seed ${SEED}, ${RUNS} kills: ${JSON.stringify(totals)}`);
    await fleet.stop();
  });
}

test('an agent process that outlives its host is never joined by its successor, and ends', async (t) => {
  const fleet = await startFleet(t, {
    isolation: 'process',
    ready: 'settled',
    yaml: () => 'model: { provider: echo, delay_ms: 1 }\n',
  });
  const clients = connectClients(t, 2, { url: () => fleet.wsUrl('a1'), window: 2 });
  await every(clients, (client) => client.answers(3));
  const orphan = fleet.processes().find((pid) => pid !== fleet.pid && pid !== fleet.hostPid);
  assert.ok(orphan);
  // Frozen, as by a debugger or a machine out of memory: it cannot notice that its host is gone.
  process.kill(orphan, 'SIGSTOP');
  process.kill(-fleet.pid, 'SIGKILL');
  await fleet.exit;
  await fleet.start();
  const { reason } = await fleet.event(isAgent('a1', 'backoff'), 'a1 refused its directory');
  assert.equal((reason as { code: string }).code, 'directory.locked');
  process.kill(orphan, 'SIGCONT');
  await fleet.event(isAgent('a1', 'running'), 'a1 running');
  assert.ok(!fleet.processes().includes(orphan), 'both run');
  await every(clients, (client) => client.answers(1));
  await every(clients, (client) => client.finish());
  checkPromises(clients, { restarts: 'crash' });
  await fleet.stop();
});

async function beginClosing(fleet: FleetProcess, random: number): Promise<void> {
  if (random < 0.5) fleet.kill('SIGTERM');
  // The kill may come before the answer.
  else for (const id of IDS) fetch(`${fleet.agent(id).url}/api/restart`, { method: 'POST' }).catch(() => {});
  await delay(((2 * random) % 1) * CLOSING_MS);
}

async function killWhileStarting(fleet: FleetProcess, atMs: number): Promise<void> {
  const started = fleet.start().catch(() => {}); // killed before it was ready, as a rule
  await delay(atMs);
  await fleet.killGroup();
  await started;
}

function every(clients: readonly LoadClient[], wait: (client: LoadClient) => Promise<void>) {
  return Promise.all(clients.map(wait));
}

function add(totals: Record<(typeof FIGURES)[number], number>, figures: Figures): void {
  for (const figure of FIGURES) totals[figure] += figures[figure];
}

function checkDatabase(path: string, clients: readonly LoadClient[]): void {
  const db = new Database(path, { readonly: true });
  try {
    assert.equal(db.pragma('integrity_check', { simple: true }), 'ok');
    const known = new Set(clients.flatMap(({ messages }) => [...messages.keys()]));
    for (const row of db.prepare(TURNS).all() as { id: string; rows: number; unfinished: number }[]) {
      if (known.has(row.id)) assert.deepEqual(row, { id: row.id, rows: 1, unfinished: 0 });
    }
  } finally {
    db.close();
  }
}
