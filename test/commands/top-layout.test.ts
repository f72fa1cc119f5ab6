/** What stands on the screen of `top`: never wider or longer than the terminal, whatever ids, sizes and states there are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { textWidth } from '../../src/commands/terminal-text.ts';
import { placeColumns, scrollTo, shareRows } from '../../src/commands/top/layout.ts';
import { filterAgents, nextSort, sortAgents } from '../../src/commands/top/order.ts';
import { pressKey } from '../../src/commands/top/press-key.ts';
import { screenLines } from '../../src/commands/top/screen-lines.ts';
import { initialState, reduce, type TopState } from '../../src/commands/top/top-state.ts';
import { AGENT_STATES } from '../../src/contract/fleet/agent-states.ts';
import type { FleetAgent } from '../../src/contract/fleet/schemas.ts';
import { fleetAgent, fleetOf } from '../fixtures/fleet-of.ts';

const NOW_MS = 1_800_003_600_000;

function seen(columns: number, rows: number, agents: readonly FleetAgent[]): TopState {
  return reduce(initialState({ columns, rows }), { kind: 'seen', fleet: fleetOf(), agents, nowMs: NOW_MS });
}

const textOf = (state: TopState): readonly string[] =>
  screenLines(state).map((line) => line.map(({ text }) => text).join(''));

const namesAt = (columns: number, id = 'coder'): string =>
  placeColumns([fleetAgent({ id })], columns)
    .map(({ column }) => column.name)
    .join(' ');

test('a narrow terminal loses the least needed columns first', () => {
  const core = 'id state cpu heap lag queue restarts uptime';
  assert.equal(namesAt(160), `${core} turns port model problem`);
  assert.equal(namesAt(120), `${core} turns port problem`);
  assert.equal(namesAt(120, 'x'.repeat(30)), `${core} turns problem`);
  assert.equal(namesAt(80), core);
  assert.equal(namesAt(80, 'x'.repeat(30)), core, 'the id is cut');
  assert.equal(namesAt(60), 'id state cpu heap queue restarts');
  assert.equal(namesAt(30), 'id state cpu');
  assert.equal(namesAt(5), 'id');
});

test('an id gets the room there is, and is whole where it can be', () => {
  const widthOfId = (id: string, columns: number) => placeColumns([fleetAgent({ id })], columns)[0]?.width;
  assert.equal(widthOfId('research-assistant', 120), 'research-assistant'.length);
  assert.equal(widthOfId('research-assistant', 82), 17);
  assert.equal(widthOfId('research-assistant', 80), 15);
  assert.equal(widthOfId('x'.repeat(60), 200), 32);
  assert.equal(widthOfId('a', 80), 3);
});

test('agents, details and fixed lines fill the terminal', () => {
  assert.deepEqual(shareRows({ columns: 80, rows: 24 }, 50, true), { agents: 14, detail: 6 });
  assert.deepEqual(shareRows({ columns: 80, rows: 24 }, 50, false), { agents: 20, detail: 0 });
  assert.deepEqual(shareRows({ columns: 80, rows: 24 }, 3, true), { agents: 3, detail: 17 });
  assert.deepEqual(shareRows({ columns: 80, rows: 12 }, 50, true), { agents: 8, detail: 0 });
  assert.deepEqual(shareRows({ columns: 80, rows: 2 }, 50, true), { agents: 0, detail: 0 });
});

test('the table scrolls no further than it must', () => {
  assert.equal(scrollTo(0, 13, 14, 50), 0);
  assert.equal(scrollTo(0, 14, 14, 50), 1);
  assert.equal(scrollTo(20, 3, 14, 50), 3);
  assert.equal(scrollTo(20, -1, 14, 50), 20);
  assert.equal(scrollTo(45, -1, 14, 50), 36, 'no empty lines below the last one');
  assert.equal(scrollTo(5, 1, 14, 3), 0);
});

test('agents are sorted as asked, those without a figure last either way', () => {
  const agents = [
    fleetAgent({ id: 'agent-10', cpu_percent: 5 }),
    fleetAgent({ id: 'agent-2', cpu_percent: 5 }),
    fleetAgent({ id: 'down', state: 'stopped', cpu_percent: null }),
    fleetAgent({ id: 'hot', cpu_percent: 90 }),
    fleetAgent({ id: 'bad', state: 'quarantined', cpu_percent: null }),
  ];
  const order = (by: 'cpu' | 'state' | 'id', descending: boolean): string =>
    sortAgents(agents, { by, descending })
      .map(({ id }) => id)
      .join(' ');
  assert.equal(order('cpu', true), 'hot agent-2 agent-10 bad down');
  assert.equal(order('cpu', false), 'agent-2 agent-10 hot bad down');
  assert.equal(order('state', false), 'bad agent-2 agent-10 hot down');
  assert.equal(order('id', true), 'hot down bad agent-10 agent-2');
  assert.deepEqual(nextSort({ by: 'id', descending: false }, 'cpu'), { by: 'cpu', descending: true });
  assert.deepEqual(nextSort({ by: 'cpu', descending: true }, 'cpu'), { by: 'cpu', descending: false });
});

test('the lag of an agent that hangs is the time it has been silent', () => {
  const hung = fleetAgent({ id: 'a', state: 'hung', lag_ms: 1, silent_ms: 4_200 });
  const slow = fleetAgent({ id: 'b', lag_ms: 900 });
  assert.equal(sortAgents([slow, hung], { by: 'lag', descending: true })[0]?.id, 'a');
  assert.match(textOf(seen(80, 24, [hung]))[3] ?? '', /^> a +hung .* 4\.2 s /);
});

test('a filter wants each of its words somewhere in id, name, state or model', () => {
  const agents = [
    fleetAgent({ id: 'coder', name: 'Writes Code', model: 'anthropic/claude' }),
    fleetAgent({ id: 'ops', state: 'quarantined' }),
  ];
  const left = (filter: string): string =>
    filterAgents(agents, filter)
      .map(({ id }) => id)
      .join(' ');
  assert.equal(left(''), 'coder ops');
  assert.equal(left('CLAUDE writes'), 'coder');
  assert.equal(left('quaran'), 'ops');
  assert.equal(left('coder quarantined'), '');
});

test('title, counts, heads and the selected agent stand where they are looked for', () => {
  const agents = [
    fleetAgent({ id: 'coder', cpu_percent: 12.5, heap_bytes: 20_000_000 }),
    fleetAgent({
      ...{ id: 'ops', state: 'quarantined', restarts: 6, incarnation: 7 },
      reason: { code: 'agent.quarantined', message: 'crashed 6 times within a minute' },
      last_error: { code: 'agent.crashed', message: 'x is not a function', at: NOW_MS / 1000 - 65 },
      config: {
        ...{ state: 'invalid', changed_at: NOW_MS / 1000 - 5 },
        problem: { code: 'config.invalid', message: 'openagent.yaml:3:9 model: expected a string' },
      },
    }),
  ];
  const lines = textOf(seen(80, 24, agents));
  assert.match(
    lines[0] ?? '',
    /^openagent-supervisor 0\.1\.0 {2}pid 4711 {2}up 1h 0m +cpu 12\.5% {2}heap 20 MB$/,
  );
  assert.equal(lines[1], '2 agents  1 quarantined  1 running');
  assert.match(lines[2] ?? '', /^ {2}ID +STATE\u{25b2} +CPU% +HEAP +LAG +QUEUE +RESTARTS +UPTIME$/u);
  assert.match(lines[3] ?? '', /^> ops +quarantined +- +- +- +- +6 +-/);
  assert.match(lines[4] ?? '', /^ {2}coder +running +12\.5 +20 MB +1 ms +0 +0 +1h 2m$/);
  const pane = lines.slice(5).join('\n');
  assert.match(pane, /^\u{2500}\u{2500} ops quarantined \u{2500}+\n/u);
  assert.match(pane, /^reason +agent\.quarantined: crashed 6 times within a minute$/m);
  assert.match(pane, /^config +refused 5s ago: openagent\.yaml:3:9 model: expected a string$/m);
  assert.match(pane, /^error +1m 5s ago, agent\.crashed: x is not a function$/m);
  assert.match(lines[23] ?? '', /r restart {2}s stop {2}R release .* q quit$/);
});

test('a fleet that is gone is said in the first line, and what is shown becomes dim', () => {
  const there = seen(80, 24, [fleetAgent({ id: 'a' }), fleetAgent({ id: 'b' })]);
  const gone = reduce(there, { kind: 'lost', reason: 'ECONNREFUSED', nowMs: NOW_MS + 12_000 });
  const [title, , , , row] = screenLines(gone);
  assert.equal(title?.[0]?.text.trimEnd(), 'no answer for 12s, trying again: ECONNREFUSED');
  assert.ok(row?.every(({ dim }) => dim === true));
  const back = reduce(gone, {
    ...{ kind: 'seen', agents: [fleetAgent({ id: 'a' })], nowMs: NOW_MS + 13_000 },
    fleet: fleetOf({ pid: 5000 }),
  });
  assert.match(textOf(back)[0] ?? '', /pid 5000/);
  assert.match(textOf(back)[23] ?? '', /a new fleet answers, process 5000; it was 4711/);
});

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    'coder',
    '日本語エージェント',
    '👩‍🚀',
    'a\x1b[2J\x1b[31mb',
    'e\u{301}\u{202e}x',
    '\n\r\t',
    'x'.repeat(90),
  ),
);
const anyAgent = fc
  .record({
    ...{ id: anyText, name: fc.option(anyText), state: fc.constantFrom(...AGENT_STATES), message: anyText },
    ...{ cpu: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true })), bytes: fc.option(fc.nat()) },
    ...{ count: fc.nat(), port: fc.option(fc.nat(65_535)) },
  })
  .map(({ id, name, state, message, cpu, bytes, count, port }) =>
    fleetAgent({
      ...{ id, name, state, port, cpu_percent: cpu, lag_ms: cpu, heap_bytes: bytes, restarts: count },
      ...{ uptime_seconds: count, reason: { code: 'agent.crashed', message } },
    }),
  );
const anyKey = fc.constantFrom(...'itchleaurR?/sqjkgGy日', 'down', 'pagedown', 'end', 'enter', 'escape');

test('whatever agents, sizes and keys: as many lines as the terminal has, none wider than it', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(anyAgent, { selector: ({ id }) => id, maxLength: 12 }),
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 60 }),
      fc.array(anyKey, { maxLength: 8 }),
      (agents, columns, rows, keys) => {
        const state = keys.reduce((before, key) => pressKey(before, key).state, seen(columns, rows, agents));
        const lines = textOf(state);
        assert.ok(
          lines.length <= rows && (rows < 4 || lines.length === rows),
          `${lines.length} of ${rows} lines`,
        );
        for (const line of lines) {
          assert.ok(textWidth(line) <= columns, `${textWidth(line)} of ${columns}: ${line}`);
          assert.doesNotMatch(line, /\p{Cc}|\p{Cf}/u);
        }
      },
    ),
    { numRuns: Number(process.env.OPENAGENT_TEST_RUNS ?? 150) },
  );
});
