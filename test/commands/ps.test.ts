import assert from 'node:assert/strict';
import { test } from 'node:test';
import picocolors from 'picocolors';
import { psTable } from '../../src/commands/ps.ts';
import { agentDetails } from '../../src/commands/ps-details.ts';
import { textWidth } from '../../src/commands/terminal-text.ts';
import type { FleetAgent } from '../../src/contract/fleet/schemas.ts';

const NOW_MS = 1_800_000_000_000;
const NO_COLORS = picocolors.createColors(false);

for (const width of [80, 120]) {
  for (const count of [3, 50]) {
    test(`${count} agents have a line each in ${width} columns, with what an operator needs first`, () => {
      const lines = tableOf(fleetOf(count), width);
      assert.equal(lines.length, count + 1);
      for (const line of lines) assert.ok(textWidth(line) <= width, line);
      for (const head of ['id', 'state', 'up', 'queue', 'heap', 'cpu']) {
        assert.ok(lines[0]?.split(/ +/).includes(head), head);
      }
      assert.equal(lines[0]?.split(/ +/).includes('failed'), width === 120);
    });
  }
}

test('a reason that was cut stands below the table, whole, and only of those that need attention', () => {
  const path = `/srv/agents/${'deep/'.repeat(15)}openagent.db`;
  const message = `${path} is not an SQLite database; restore a backup`;
  const broken = agent({ id: 'broken', state: 'quarantined', reason: { code: 'storage.corrupt', message } });
  const scarred = agent({
    id: 'scarred',
    last_error: { code: 'agent.crashed', message, at: NOW_MS / 1000 - 90 },
  });
  for (const width of [40, 80, 120]) {
    const lines = tableOf([agent({}), broken, scarred], width);
    const below = lines.slice(lines.indexOf('') + 1).join('\n');
    assert.ok(below.includes(path), below);
    assert.match(below, /^broken:\s/);
    assert.doesNotMatch(below, /scarred/);
  }
});

test('without a terminal nothing is cut and nothing stands below', () => {
  const message = 'a reason '.repeat(40).trim();
  const lines = tableOf([agent({ state: 'backoff', reason: { code: 'agent.crashed', message } })], undefined);
  assert.equal(lines.length, 2);
  assert.ok(lines[1]?.endsWith(message));
  assert.match(String(lines[0]), / hangs .* done {2}failed .* lag {2}reason$/);
});

test('of many that are in trouble the first eight are told below, and how to see the others', () => {
  const message =
    'long enough to be cut in any terminal of eighty columns, wherever its column begins, as this is';
  const agents = fleetOf(50).map((each) => ({
    ...each,
    state: 'quarantined' as const,
    reason: { code: 'agent.crashed', message },
  }));
  const text = tableOf(agents, 80).join('\n');
  assert.equal(text.match(/: long enough/g)?.length, 8);
  assert.match(text, /\nand 42 more: openagent-supervisor ps <agent>$/);
});

test('the narrowest terminal has the ids and states', () => {
  const lines = tableOf(fleetOf(3), 24);
  for (const line of lines) assert.ok(textWidth(line) <= 24, line);
  assert.match(lines.join('\n'), /^agent-01 +running/m);
});

test('ids and messages cannot paint, move the cursor or begin a line', () => {
  const rude = 'x\u001b[2J\r\nforged  running';
  const reason = { code: 'internal', message: `${rude}\u202e` };
  const odd = agent({ id: rude, dir: rude, state: 'quarantined', reason });
  for (const text of [tableOf([odd], 80).join('\n'), detailsOf(odd)]) {
    assert.doesNotMatch(text.replaceAll('\n', ''), /\p{Cc}|\p{Cf}/u);
    assert.doesNotMatch(text, /^forged/m);
  }
});

test('wide characters keep the columns in line', () => {
  const lines = tableOf([agent({ id: '研究アシスタント' }), agent({ id: 'plain' })], 80);
  const widths = lines.map((line) => textWidth(line.slice(0, line.search(/state|running/))));
  assert.deepEqual(new Set(widths).size, 1, lines.join('\n'));
});

test('details name the line of a configuration that is refused, and what to do', () => {
  const problem = {
    code: 'config.invalid',
    message: 'supervisor.drain_ms: expected a number',
    details: { line: 7 },
  };
  const text = detailsOf(agent({ config: { state: 'invalid', changed_at: NOW_MS / 1000 - 5, problem } }));
  assert.match(text, /config +invalid \(the last good one is in use\), read anew 5s ago/);
  assert.match(text, /expected a number \(config\.invalid\)\n +\/srv\/agents\/a\/openagent\.yaml:7\n/);
  assert.match(text, /next +mend openagent\.yaml; it is read as soon as it is saved/);
});

function tableOf(agents: readonly FleetAgent[], width: number | undefined): readonly string[] {
  return psTable(agents, { colors: NO_COLORS, nowMs: NOW_MS, wide: false, width }).trimEnd().split('\n');
}

function detailsOf(each: FleetAgent): string {
  return `${agentDetails(each, { nowMs: NOW_MS, colors: NO_COLORS, width: undefined })}\n`;
}

function fleetOf(count: number): readonly FleetAgent[] {
  return Array.from({ length: count }, (_, at) =>
    agent({ id: `agent-${String(at + 1).padStart(2, '0')}`, port: 8765 + at }),
  );
}

function agent(facts: Partial<FleetAgent>): FleetAgent {
  return {
    ...{ id: 'a', dir: '/srv/agents/a', name: 'A', state: 'running', reason: null, last_error: null },
    ...{ host: '127.0.0.1', port: 8765, model: 'echo', transport: 'uws', transport_note: null },
    ...{ isolation: 'thread', started_at: NOW_MS / 1000 - 90_061, uptime_seconds: 90_061, incarnation: 1 },
    ...{
      restarts: 0,
      restart_in_ms: null,
      hangs: 0,
      sockets: 2,
      heap_bytes: 25_300_000,
      external_bytes: 3_000_000,
    },
    turns: { running: 1, waiting: 0, done: 523, failed: 2, cancelled: 0, interrupted: 0 },
    ...{ cpu_percent: 0.4, lag_ms: 2, silent_ms: 300, children: 0 },
    config: { state: 'ok', changed_at: null, problem: null },
    ...facts,
  };
}
