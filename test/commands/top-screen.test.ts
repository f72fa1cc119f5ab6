/** `top` on a terminal that is none: what ink draws of it, what is written of that, and what keys reach. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { type TestContext, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { createPainter } from '../../src/commands/top/painter.ts';
import { renderScreen } from '../../src/commands/top/screen.ts';
import { createTopStore, type TopStore } from '../../src/commands/top/top-store.ts';
import type { FleetAgent } from '../../src/contract/fleet/schemas.ts';
import { eventually } from '../fixtures/chat.ts';
import { fleetAgent, fleetOf } from '../fixtures/fleet-of.ts';

const NOW_MS = 1_800_000_000_000;
const FIFTY = Array.from({ length: 50 }, (_, at) => fleetAgent({ id: `agent-${at}`, cpu_percent: at / 10 }));

const ESC = '\x1b';
const CLEARED = `${ESC}[2J`;
/** Each as the painter writes it, up to the next one or the end of the frame. */
const LINES = new RegExp(`${ESC}\\[(\\d+);1H(.*?)(?=${ESC}\\[\\d+;1H|${ESC}\\[\\?2026l)`, 'gs');

interface Drawn {
  readonly store: TopStore;
  readonly acts: string[];
  /** All that was written since the last look. */
  written(): string;
  /** What stands on the screen, as it follows from all that was written. */
  lines(): readonly string[];
  type(text: string): void;
  resize(columns: number, rows: number): void;
  see(agents: readonly FleetAgent[]): Promise<void>;
}

async function draw(t: TestContext, columns: number, rows: number): Promise<Drawn> {
  let all = '';
  let looked = 0;
  const screen: string[] = [];
  const painter = createPainter(
    (text) => {
      all += text;
      for (const [, row, line] of text.matchAll(LINES)) {
        screen[Number(row) - 1] = stripVTControlCharacters(line ?? '');
      }
    },
    { columns, rows },
  );
  const acts: string[] = [];
  const effects = {
    act: (id: string, action: string) => acts.push(`${action} ${id}`),
    repaint: painter.repaint,
  };
  const store = createTopStore(
    { columns, rows },
    { ...effects, suspend() {}, quit: () => acts.push('quit') },
  );
  const stdin = fakeStdin();
  const { unmount } = renderScreen({
    ...{ ink: await import('ink'), store, hasColors: true },
    ...{ stdin: stdin.stream, stdout: painter.stream },
  });
  t.after(unmount);
  const drawn: Drawn = {
    ...{ store, acts, lines: () => screen, type: stdin.type },
    written() {
      const text = all.slice(looked);
      looked = all.length;
      return text;
    },
    resize(width, height) {
      screen.length = 0;
      painter.resize({ columns: width, rows: height });
      store.tell({ kind: 'resized', size: { columns: width, rows: height } });
      painter.repaint();
    },
    async see(agents) {
      store.tell({ kind: 'seen', fleet: fleetOf(), agents, nowMs: NOW_MS });
      await new Promise(setImmediate);
    },
  };
  return drawn;
}

function fakeStdin(): { readonly stream: NodeJS.ReadStream; type(text: string): void } {
  const waiting: string[] = [];
  const stream = Object.assign(new EventEmitter(), {
    ...{ isTTY: true, setEncoding() {}, setRawMode() {}, ref() {}, unref() {} },
    read: () => waiting.shift() ?? null,
  });
  return {
    stream: stream as unknown as NodeJS.ReadStream,
    type(text) {
      waiting.push(text);
      stream.emit('readable');
    },
  };
}

for (const [columns, rows] of [
  [80, 24],
  [120, 40],
] as const) {
  test(`fifty agents on ${columns}x${rows}: heads, as many rows as fit, details and keys`, async (t) => {
    const drawn = await draw(t, columns, rows);
    await drawn.see(FIFTY);
    const lines = drawn.lines();
    assert.equal(lines.length, rows);
    assert.match(lines[0] ?? '', /^openagent-supervisor 0\.1\.0 {2}pid 4711/);
    assert.match(lines[1] ?? '', columns === 80 ? /1-14 of 50$/ : /1-26 of 50$/);
    assert.match(lines[2] ?? '', /^ {2}ID +STATE▲/);
    assert.equal(/PROBLEM/.test(lines[2] ?? ''), columns === 120);
    assert.match(lines[3] ?? '', /^> agent-0 +running/);
    assert.match(
      lines.join('\n'),
      /── agent-0 running ─+\nat +127\.0\.0\.1:8765 {2}uws {2}thread {2}model echo\n/,
    );
    assert.match(lines.at(-1) ?? '', /q quit$/);
  });
}

test('only lines that changed are written, and nothing at all when none did', async (t) => {
  const drawn = await draw(t, 80, 24);
  await drawn.see(FIFTY);
  assert.ok(drawn.written().includes(CLEARED));
  await drawn.see(FIFTY.map((agent) => ({ ...agent })));
  assert.equal(drawn.written(), '');
  await drawn.see(
    FIFTY.map((agent) => (agent.id === 'agent-7' ? { ...agent, heap_bytes: 9_900_000 } : agent)),
  );
  const written = drawn.written();
  // Its row, and the sum in the title.
  assert.deepEqual(
    [...written.matchAll(LINES)].map(([, row]) => row),
    ['1', '11'],
  );
  assert.ok(!written.includes(CLEARED));
});

test('keys move, sort, ask and quit, also when several come at once', async (t) => {
  const drawn = await draw(t, 80, 24);
  await drawn.see(FIFTY);
  drawn.type('c');
  await eventually(() => /^> agent-49 +running +4\.9/.test(drawn.lines()[3] ?? ''), 'the busiest first');
  drawn.type('\x1b[B\x1b[Bjr');
  await eventually(() => drawn.acts.includes('restart agent-46'), 'a restart of the fourth');
  drawn.type('s');
  await eventually(() => /^Stop agent-46\? y\/n/.test(drawn.lines()[23] ?? ''), 'a question');
  drawn.type('y');
  drawn.type('?');
  await eventually(() => /^Keys +States/.test(drawn.lines()[0] ?? ''), 'the page of keys');
  drawn.type('\x03');
  assert.deepEqual(drawn.acts, ['restart agent-46', 'stop agent-46', 'quit']);
});

test('another size is filled anew, smaller and larger', async (t) => {
  const drawn = await draw(t, 120, 40);
  await drawn.see(FIFTY);
  for (const [columns, rows] of [
    [60, 12],
    [140, 50],
  ] as const) {
    drawn.resize(columns, rows);
    await eventually(
      () => drawn.lines().length === rows && /q quit$|R rel/.test(drawn.lines()[rows - 1] ?? ''),
      'the keys',
    );
    assert.ok(drawn.lines().every((line) => line.length <= columns));
    assert.match(drawn.lines()[3] ?? '', /^> agent-0/);
  }
});
