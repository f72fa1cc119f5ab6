/** `/metrics` of a real fleet, as Prometheus reads it: over the port, with the token. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Announcement } from '../../src/contract/fleet/announcement.ts';
import { openChat } from '../fixtures/chat.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';

const DEADLINE_MS = 30_000;
const POLL_MS = 50;
const hasPromtool = spawnSync('promtool', ['--version']).status === 0;

test('what agents did is counted on through their restarts, and Prometheus accepts how it is told', async (t) => {
  const fleet = await startFleet(t, {
    agents: ['inside', 'apart'],
    args: ['--fleet-port', '0'],
    yaml: (id) =>
      `model: { provider: echo }\nsupervisor: { isolation: ${id === 'apart' ? 'process' : 'thread'} }\n`,
  });
  const asked = { inside: 0, apart: 0 };
  const done = (id: string) => `openagent_agent_turns_total{agent="${id}",outcome="done"}`;

  for (const restarts of [0, 1, 2]) {
    for (const id of ['inside', 'apart'] as const) {
      const chat = await openChat(t, fleet.agent(id).wsUrl, { clientId: `test-${restarts}` });
      for (let turn = 0; turn < 3; turn += 1) {
        assert.equal((await chat.ask(`turn ${turn}`)).type, 'response');
        asked[id] += 1;
      }
      chat.close();
      // At once: what the last heartbeat did not tell is told on the way out.
      if (restarts < 2) await restart(fleet, id, restarts + 1);
    }
  }
  const figures = await until(fleet, (told) =>
    (['inside', 'apart'] as const).every((id) => told.get(done(id)) === asked[id]),
  );
  for (const id of ['inside', 'apart']) {
    assert.equal(figures.get(`openagent_agent_restarts_total{agent="${id}"}`), 2);
    assert.equal(figures.get(`openagent_agent_turns_accepted_total{agent="${id}"}`), 9);
    assert.equal(figures.get(`openagent_agent_turn_duration_seconds_count{agent="${id}"}`), 9);
    assert.equal(figures.get(`openagent_agent_turn_duration_seconds_bucket{agent="${id}",le="+Inf"}`), 9);
    assert.equal(figures.get(`openagent_agent_state{agent="${id}",state="running"}`), 1);
  }
  if (process.platform === 'linux') {
    await until(fleet, (told) =>
      ['inside', 'apart'].every(
        (id) => (told.get(`openagent_agent_cpu_seconds_total{agent="${id}"}`) ?? 0) > 0,
      ),
    );
  }
  if (hasPromtool) {
    const judged = spawnSync('promtool', ['check', 'metrics'], {
      input: await scrape(fleet),
      encoding: 'utf8',
    });
    assert.equal(judged.stdout + judged.stderr, '');
    assert.equal(judged.status, 0);
  } else t.diagnostic('promtool is not installed (Debian has it in the package prometheus)');
  await fleet.stop();
});

async function restart(fleet: FleetProcess, id: string, restarts: number): Promise<void> {
  const response = await fetch(`${fleet.agent(id).url}/api/restart`, { method: 'POST' });
  assert.equal(response.status, 200);
  await fleet.event(
    (event) => event.id === id && event.state === 'running' && event.restarts === restarts,
    `restart ${restarts} of ${id}`,
  );
}

async function scrape({ runDir, hostPid }: FleetProcess): Promise<string> {
  const { http } = JSON.parse(readFileSync(join(runDir, `${hostPid}.json`), 'utf8')) as Announcement;
  assert.ok(http);
  const response = await fetch(`http://${http.host}:${http.port}/metrics`, {
    headers: { authorization: `Bearer ${readFileSync(http.token_file, 'utf8').trim()}` },
  });
  assert.equal(response.status, 200);
  return response.text();
}

async function until(
  fleet: FleetProcess,
  isIt: (told: ReadonlyMap<string, number>) => boolean,
): Promise<ReadonlyMap<string, number>> {
  const endMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const text = await scrape(fleet);
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    const told = new Map(lines.map((line) => [nameIn(line), Number(line.slice(line.lastIndexOf(' ')))]));
    if (isIt(told)) return told;
    assert.ok(performance.now() < endMs, text);
    await delay(POLL_MS);
  }
}

function nameIn(line: string): string {
  return line.slice(0, line.lastIndexOf(' '));
}
