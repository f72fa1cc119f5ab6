/** What keys do in `top`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName } from '../../src/commands/top/keys.ts';
import { type Effect, pressKey } from '../../src/commands/top/press-key.ts';
import { screenLines } from '../../src/commands/top/screen-lines.ts';
import { initialState, reduce, type TopState } from '../../src/commands/top/top-state.ts';
import type { FleetAgent } from '../../src/contract/fleet/schemas.ts';
import { fleetAgent, fleetOf } from '../fixtures/fleet-of.ts';

const NOW_MS = 1_800_000_000_000;
const FIFTY = Array.from({ length: 50 }, (_, at) => fleetAgent({ id: `agent-${at}` }));

function seen(agents: readonly FleetAgent[], before = initialState({ columns: 80, rows: 24 })): TopState {
  return reduce(before, { kind: 'seen', fleet: fleetOf(), agents, nowMs: NOW_MS });
}

function press(state: TopState, ...keys: readonly string[]): { state: TopState; effects: readonly Effect[] } {
  const effects: Effect[] = [];
  let now = state;
  for (const key of keys) {
    const pressed = pressKey(now, key);
    now = pressed.state;
    if (pressed.effect) effects.push(pressed.effect);
  }
  return { state: now, effects };
}

const after = (state: TopState, ...keys: readonly string[]): TopState => press(state, ...keys).state;
const footerOf = (state: TopState): string =>
  (screenLines(state).at(-1) ?? []).map(({ text }) => text).join('');

test('the selection moves by lines, pages and to the ends, and the table scrolls with it', () => {
  const start = seen(FIFTY);
  assert.equal(start.selected, 'agent-0');
  assert.equal(after(start, 'up').selected, 'agent-0');
  assert.equal(after(start, 'down', 'j', 'k').selected, 'agent-1');
  const paged = after(start, 'pagedown', 'pagedown');
  assert.deepEqual([paged.selected, paged.first], ['agent-26', 13]);
  const last = after(start, 'end', 'down');
  assert.deepEqual([last.selected, last.first], ['agent-49', 36]);
  assert.deepEqual([after(last, 'g').selected, after(last, 'g').first], ['agent-0', 0]);
});

test('the selection stays with its agent when others change, and with its line when that one is gone', () => {
  const start = after(seen(FIFTY), 'down', 'down');
  const worse = FIFTY.map((agent) =>
    agent.id === 'agent-30' ? { ...agent, state: 'hung' as const } : agent,
  );
  const changed = seen(worse, start);
  assert.deepEqual([changed.shown[0]?.id, changed.selected, changed.first], ['agent-30', 'agent-2', 0]);
  const removed = seen(
    FIFTY.filter(({ id }) => id !== 'agent-2'),
    start,
  );
  assert.equal(removed.selected, 'agent-3');
  assert.equal(seen([], start).selected, undefined);
});

test('every letter that is underlined sorts, again turns it round, and the first line is selected', () => {
  const start = after(seen(FIFTY), 'end');
  const sorts = [...'itchleau'].map((key) => after(start, key).sort.by);
  assert.deepEqual(sorts, ['id', 'state', 'cpu', 'heap', 'lag', 'queue', 'restarts', 'uptime']);
  const heads = (state: TopState): string => (screenLines(state)[2] ?? []).map(({ text }) => text).join('');
  const whole = /ID.? +STATE.? +.?CPU% +.?HEAP +.?LAG +.?QUEUE +.?RESTARTS +.?UPTIME$/;
  for (const key of 'itchleau') assert.match(heads(after(start, key)), whole);
  const letters = (screenLines(start)[2] ?? []).filter(({ underline }) => underline).map(({ text }) => text);
  assert.equal(letters.join('').toLowerCase(), 'itchleau');
  const sorted = after(start, 'i', 'i');
  assert.deepEqual([sorted.sort.descending, sorted.selected, sorted.first], [true, 'agent-49', 0]);
});

test('restart and release are asked for at once, stop only after a yes', () => {
  const start = seen([fleetAgent({ id: 'coder' })]);
  assert.deepEqual(press(start, 'r').effects, [{ kind: 'act', action: 'restart', id: 'coder' }]);
  assert.deepEqual(press(start, 'R').effects, [{ kind: 'act', action: 'release', id: 'coder' }]);
  const asked = press(start, 's');
  assert.deepEqual(asked.effects, []);
  assert.match(footerOf(asked.state), /^Stop coder\? y\/n/);
  assert.deepEqual(press(asked.state, 'y').effects, [{ kind: 'act', action: 'stop', id: 'coder' }]);
  for (const no of ['n', 'enter', 'escape', 'q', 's', 'down']) {
    const answered = press(asked.state, no);
    assert.deepEqual(answered.effects, [], no);
    assert.equal(footerOf(answered.state), 'coder stays as it is');
  }
});

test('the agent that was asked about is the one that is stopped, wherever it is by then', () => {
  const asked = after(seen(FIFTY), 'down', 's');
  const moved = seen(
    FIFTY.map((agent) => (agent.id === 'agent-1' ? agent : { ...agent, state: 'hung' as const })),
    asked,
  );
  assert.deepEqual(press(moved, 'y').effects, [{ kind: 'act', action: 'stop', id: 'agent-1' }]);
});

test('a stopped agent is started by the same key, without a question', () => {
  const start = seen([fleetAgent({ id: 'coder', state: 'stopped' })]);
  assert.match(footerOf(start), /s start/);
  assert.deepEqual(press(start, 's').effects, [{ kind: 'act', action: 'start', id: 'coder' }]);
});

test('nothing is asked for while nobody answers, or without an agent', () => {
  const lost = reduce(seen(FIFTY), { kind: 'lost', reason: 'gone', nowMs: NOW_MS });
  assert.deepEqual(press(lost, 'r').effects, []);
  assert.match(footerOf(after(lost, 'r')), /no fleet answers/);
  assert.match(footerOf(after(seen([]), 'r')), /no agent is selected/);
});

test('what the fleet said to an action stands in the last line until the next key, or a while', () => {
  const start = seen([fleetAgent({ id: 'coder' })]);
  const agent = fleetAgent({ id: 'coder', state: 'stopping' });
  const acted = reduce(start, { kind: 'acted', id: 'coder', action: 'restart', nowMs: NOW_MS });
  assert.equal(footerOf(acted), 'asked coder to restart');
  assert.match(footerOf(after(acted, 'down')), /restart .* quit$/);
  const refused = reduce(start, {
    kind: 'refused',
    message: 'it is not in quarantine',
    nowMs: NOW_MS,
  });
  assert.equal(footerOf(refused), 'it is not in quarantine');
  const later = reduce(refused, { kind: 'seen', fleet: fleetOf(), agents: [agent], nowMs: NOW_MS + 6_000 });
  assert.match(footerOf(later), /quit$/);
});

test('a filter is typed with letters that mean something else elsewhere, kept, taken back and cleared', () => {
  const start = seen([...FIFTY, fleetAgent({ id: 'quick' })]);
  const typed = press(start, '/', ...'quik', 'backspace', 'c');
  assert.deepEqual([typed.state.filter, typed.effects], ['quic', []]);
  assert.deepEqual([typed.state.selected, typed.state.shown.length], ['quick', 1]);
  assert.match(footerOf(typed.state), /^filter: quic/);
  const kept = after(typed.state, 'enter');
  assert.deepEqual([kept.asking, kept.filter], [undefined, 'quic']);
  assert.equal(after(kept, '/', 'x', 'escape').filter, 'quic');
  assert.equal(after(kept, 'escape').shown.length, 51);
  assert.equal(after(kept, '/', 'ctrl-u').filter, '');
});

test('the page that explains the keys comes and goes, and can be scrolled where it has no room', () => {
  const start = seen(FIFTY, initialState({ columns: 60, rows: 12 }));
  const help = after(start, '?');
  const text = (state: TopState): string =>
    screenLines(state)
      .map((line) => line.map((s) => s.text).join(''))
      .join('\n');
  assert.match(text(help), /^Keys\n/);
  assert.doesNotMatch(text(help), /quarantined/);
  assert.match(text(after(help, 'pagedown')), /quarantined +given up on/);
  assert.match(text(after(help, ...Array<string>(9).fill('pagedown'))), /u=uptime/);
  assert.equal(after(help, 'x').page, 'agents');
  assert.deepEqual(press(help, 'q').effects, [{ kind: 'quit' }]);
});

test('Ctrl-C ends it whatever is being asked', () => {
  for (const keys of [[], ['s'], ['/'], ['?']]) {
    assert.deepEqual(press(seen(FIFTY), ...keys, 'ctrl-c').effects, [{ kind: 'quit' }]);
  }
});

test('keys are told apart by their names, and none is taken for what it is not', () => {
  const plain = { ctrl: false, meta: false, shift: false };
  assert.equal(keyName(undefined, { ...plain, name: 'up' }), 'up');
  assert.equal(keyName('\r', { ...plain, name: 'return' }), 'enter');
  assert.equal(keyName('R', { ...plain, name: 'r', shift: true }), 'R');
  assert.equal(keyName('日', plain), '日');
  assert.equal(keyName('\x03', { ...plain, name: 'c', ctrl: true }), 'ctrl-c');
  assert.equal(keyName('s', { ...plain, name: 's', meta: true }), undefined);
  assert.equal(keyName('\t', { ...plain, name: 'tab' }), undefined);
  assert.equal(keyName(undefined, { ...plain, name: 'f5' }), undefined);
});
