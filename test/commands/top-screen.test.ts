/** `top` on a terminal that is none: what is written on it, what keys do, and how it is given back. */
import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { showFleet } from '../../src/commands/top/run-top.ts';
import type { TopSource } from '../../src/commands/top/watch-fleet.ts';
import type { FleetAgent } from '../../src/contract/fleet/schemas.ts';
import { eventually } from '../fixtures/chat.ts';
import { fleetAgent, fleetOf } from '../fixtures/fleet-of.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';

const FIFTY = Array.from({ length: 50 }, (_, at) => fleetAgent({ id: `agent-${at}`, cpu_percent: at / 10 }));

const ESC = '\x1b';
const CLEARED = `${ESC}[2J`;
/** Each as it is painted, up to the next one or the end of the frame. */
const LINES = new RegExp(`${ESC}\\[(\\d+);1H(.*?)(?=${ESC}\\[\\d+;1H|${ESC}\\[\\?2026l)`, 'gs');
const ENTERED = `${ESC}[?1049h${ESC}[?25l`;
const LEFT = `${ESC}[?7h${ESC}[?25h${ESC}[?1049l`;

interface Shown {
  readonly acts: string[];
  /** All that was written since the last look. */
  written(): string;
  /** What stands on the screen, as it follows from all that was written. */
  lines(): readonly string[];
  isRaw(): boolean;
  type(text: string): void;
  resize(columns: number, rows: number): void;
  /** A second later, with other agents. */
  later(agents: readonly FleetAgent[]): Promise<void>;
  abort(): void;
  readonly ended: Promise<void>;
}

async function show(
  t: TestContext,
  [columns, rows]: readonly [columns: number, rows: number],
  options: { readonly agents?: readonly FleetAgent[]; readonly env?: Record<string, string> } = {},
): Promise<Shown> {
  const screen = fakeScreen(columns, rows);
  let isRaw = false;
  const setRawMode = (mode: boolean): void => {
    isRaw = mode;
  };
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode });
  let agents = options.agents ?? FIFTY;
  const acts: string[] = [];
  const source: TopSource = {
    fleet: async () => fleetOf({ started_at: 1_699_999_000 }),
    agents: async () => agents,
    act: async (id, action) => acts.push(`${action} ${id}`),
    close: () => acts.push('closed'),
  };
  const stop = new AbortController();
  const clock = createTestClock();
  const streams = { stdin, stdout: screen.stream } as unknown as NodeJS.Process;
  const ended = showFleet(source, streams, { env: options.env ?? {}, signal: stop.signal, clock });
  t.after(() => {
    stop.abort();
    return ended;
  });
  await eventually(() => /running|no agents/.test(screen.lines()[1] ?? ''), 'a first answer');
  return {
    ...{ acts, ended, isRaw: () => isRaw, ...screen, abort: () => stop.abort() },
    type: (text) => void stdin.write(text),
    async later(next) {
      agents = next;
      clock.advance(1_000);
      await new Promise(setImmediate);
    },
  };
}

function fakeScreen(columns: number, rows: number) {
  let all = '';
  let looked = 0;
  let screen: string[] = [];
  const stream = Object.assign(
    new Writable({
      decodeStrings: false,
      write(text: string, _, done) {
        all += text;
        if (text.includes(CLEARED)) screen = [];
        for (const [, row, line] of text.matchAll(LINES)) {
          screen[Number(row) - 1] = stripVTControlCharacters(line ?? '');
        }
        done();
      },
    }),
    { isTTY: true, columns, rows },
  );
  return {
    stream,
    lines: () => screen,
    written() {
      const text = all.slice(looked);
      looked = all.length;
      return text;
    },
    resize(width: number, height: number) {
      Object.assign(stream, { columns: width, rows: height });
      stream.emit('resize');
    },
  };
}

for (const [columns, rows] of [
  [80, 24],
  [120, 40],
] as const) {
  test(`fifty agents on ${columns}x${rows}: heads, as many rows as fit, details and keys`, async (t) => {
    const shown = await show(t, [columns, rows]);
    const lines = shown.lines();
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
  const shown = await show(t, [80, 24]);
  assert.ok(shown.written().includes(CLEARED));
  const changed = FIFTY.map((agent) =>
    agent.id === 'agent-7' ? { ...agent, heap_bytes: 9_900_000 } : agent,
  );
  await shown.later(changed);
  const written = shown.written();
  // Uptime and the sum of heaps in the title, and its row.
  assert.deepEqual(
    [...written.matchAll(LINES)].map(([, row]) => row),
    ['1', '11'],
  );
  assert.ok(!written.includes(CLEARED));
});

test('keys move, sort, ask and quit, also when several come at once', async (t) => {
  const shown = await show(t, [80, 24]);
  shown.type('c');
  await eventually(() => /^> agent-49 +running +4\.9/.test(shown.lines()[3] ?? ''), 'the busiest first');
  shown.type(`${ESC}[B${ESC}[Bjr`);
  await eventually(() => shown.acts.includes('restart agent-46'), 'a restart of the fourth');
  shown.type('s');
  await eventually(() => /^Stop agent-46\? y\/n/.test(shown.lines()[23] ?? ''), 'a question');
  shown.type('y?');
  await eventually(() => /^Keys +States/.test(shown.lines()[0] ?? ''), 'the page of keys');
  shown.type(ESC);
  await eventually(() => /^openagent-supervisor/.test(shown.lines()[0] ?? ''), 'the page of agents');
  shown.type('\x03');
  await shown.ended;
  assert.deepEqual(shown.acts, ['restart agent-46', 'stop agent-46', 'closed']);
});

test('another size is filled anew, smaller and larger', async (t) => {
  const shown = await show(t, [120, 40]);
  for (const [columns, rows] of [
    [60, 12],
    [140, 50],
  ] as const) {
    shown.resize(columns, rows);
    assert.equal(shown.lines().length, rows);
    assert.ok(shown.lines().every((line) => line.length <= columns));
    assert.match(shown.lines()[3] ?? '', /^> agent-0/);
    assert.match(shown.lines()[rows - 1] ?? '', /r restart/);
  }
});

test('NO_COLOR takes the colours, not what marks the selected agent', async (t) => {
  const colorCode = new RegExp(`${ESC}\\[[\\d;]*3\\dm`);
  const [plain, colored] = [await show(t, [80, 24], { env: { NO_COLOR: '1' } }), await show(t, [80, 24])];
  const text = plain.written();
  assert.doesNotMatch(text, colorCode);
  assert.ok(text.includes(`${ESC}[7m> agent-0 `));
  assert.match(colored.written(), colorCode);
});

const ENDS: Readonly<Record<string, (shown: Shown) => void>> = {
  q: (shown) => shown.type('q'),
  'Ctrl-C': (shown) => shown.type('\x03'),
  'a signal': (shown) => shown.abort(),
};

for (const [name, end] of Object.entries(ENDS)) {
  test(`the terminal is given back after ${name}`, async (t) => {
    const shown = await show(t, [80, 24]);
    assert.ok(shown.written().startsWith(ENTERED));
    assert.equal(shown.isRaw(), true);
    end(shown);
    await shown.ended;
    assert.ok(shown.written().endsWith(LEFT));
    assert.equal(shown.isRaw(), false);
  });
}

test('after an error that nobody caught the terminal is given back before the stack is printed', async (t) => {
  const shown = await show(t, [80, 24]);
  // What Node does before it prints and exits.
  const events: NodeJS.EventEmitter = process;
  events.emit('uncaughtExceptionMonitor', new Error('a defect'), 'uncaughtException');
  assert.ok(shown.written().endsWith(LEFT));
  assert.equal(shown.isRaw(), false);
  await shown.later([]);
  assert.equal(shown.written(), '', 'nothing is painted over it');
});
