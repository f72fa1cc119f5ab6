/** In a real terminal under npm: one Ctrl-C drains, two force, and the table fits the screen. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openChat } from '../fixtures/chat.ts';
import { openTerminal, type Terminal } from '../fixtures/terminal.ts';

const BIN = fileURLToPath(new URL('../../bin/openagent-supervisor.mjs', import.meta.url));
/** Well below the second in which signals count as one. */
const PRESS_AGAIN_MS = 200;

for (const way of ['npm', 'shell'] as const) {
  test(`one Ctrl-C drains: running turns end, clients are told, exit code 0 (${way})`, async (t) => {
    const terminal = startInTerminal(t, way, 80, {
      slow: 'model: { provider: echo, delay_ms: 300 }\n',
      fast: 'model: { provider: echo }\n',
    });
    const [slow, fast] = await Promise.all([urlOf(terminal, 'slow'), urlOf(terminal, 'fast')]);
    const busy = await openChat(t, wsOf(slow), { clientId: 'busy' });
    const idle = await openChat(t, wsOf(fast), { clientId: 'idle' });
    busy.send({ type: 'message', text: 'one two', session_id: 's' });
    await busy.frame(({ type }) => type === 'status');
    terminal.pressCtrlC();
    assert.equal((await busy.frame(({ type }) => type === 'response')).text, 'echo: one two');
    assert.deepEqual(await Promise.all([busy.closed(), idle.closed()]), [1001, 1001]);
    await ended(terminal, way, 0);
    const text = terminal.screen().join('\n');
    assert.match(text, /SIGINT: stopping; running turns may end/);
    assert.doesNotMatch(text, /ending everything|defect|error/i);
  });

  test(`a second Ctrl-C, a second or more after the first, ends everything at once (${way})`, async (t) => {
    const terminal = startInTerminal(t, way, 80, {
      slow: 'model: { provider: echo, delay_ms: 30000 }\nsupervisor: { drain_ms: 20000 }\n',
    });
    const chat = await openChat(t, wsOf(await urlOf(terminal, 'slow')), { clientId: 'busy' });
    chat.send({ type: 'message', text: 'never answered', session_id: 's' });
    await chat.frame(({ type }) => type === 'status');
    const forced = terminal.shows(/ending everything at once/).then(() => true);
    do terminal.pressCtrlC();
    while (!(await Promise.race([forced, delay(PRESS_AGAIN_MS, false)])));
    await ended(terminal, way, 4);
    assert.deepEqual(
      chat.frames.filter(({ type }) => type === 'response'),
      [],
    );
  });
}

for (const columns of [80, 120]) {
  test(`the table fits a terminal of ${columns} columns, with every reason whole`, async (t) => {
    const terminal = startInTerminal(t, 'shell', columns, {
      hello: 'name: Hello\n',
      'research-assistant': 'name: An assistant with quite a long name\nmodel: { provider: echo }\n',
      broken: 'name: Broken\nsupervisor: { drain_ms: soon }\n',
    });
    await terminal.shows(/Ctrl-C stops all.*\.$/m);
    const screen = terminal.screen();
    const head = screen.findIndex((line) => /^id +(name +)?state +url/.test(line));
    assert.ok(head >= 0, screen.join('\n'));
    const table = screen.slice(head);
    const rowOf = (id: string) =>
      table.find((line) => line.startsWith(`${id} `)) ?? assert.fail(`no row of ${id}`);
    const start = table[0]?.indexOf('state') ?? -1;
    const stateOf = (id: string) => rowOf(id).slice(start);
    for (const id of ['hello', 'research-assistant'])
      assert.match(
        stateOf(id),
        /^running +http:\/\/127\.0\.0\.1:\d+ +echo/,
        'columns stand below their heads',
      );
    assert.match(stateOf('broken'), /^refused/);
    const why = table.slice(table.findIndex((line) => line.startsWith('broken: ')));
    assert.match(why[0] ?? '', /^broken: \/.*\/agents\/broken\/openagent\.yaml:2:25/);
    assert.match(why.join(' '), /expected a whole number +from 0 to 2147483647, got +"soon"/);
    assert.match(table.join('\n'), /^ask one: +curl http:\/\/127\.0\.0\.1:\d+\/api\/health$/m);
    assert.match(table.join('\n'), /^talk to it: ws:\/\/127\.0\.0\.1:\d+\/ws$/m);
    terminal.pressCtrlC();
    await ended(terminal, 'shell', 0);
  });
}

type Way = 'npm' | 'shell';

/** Typed into a shell: the supervisor on `agents/*`, or `npm start` of a package whose script is just that. */
function startInTerminal(
  t: TestContext,
  way: Way,
  columns: number,
  agents: Readonly<Record<string, string>>,
): Terminal {
  const cwd = realpathSync(mkdtempSync(join(tmpdir(), 'openagent-terminal-')));
  const start = `node ${BIN} --port 0 agents/*`;
  writeFileSync(
    join(cwd, 'package.json'),
    JSON.stringify({ name: 'test', private: true, scripts: { start } }),
  );
  for (const [id, yaml] of Object.entries(agents)) {
    mkdirSync(join(cwd, 'agents', id), { recursive: true });
    writeFileSync(join(cwd, 'agents', id, 'openagent.yaml'), yaml);
  }
  const env = {
    HOME: cwd,
    HISTFILE: '/dev/null',
    NO_UPDATE_NOTIFIER: '1',
    npm_config_update_notifier: 'false',
  };
  const terminal = openTerminal(t, { columns, cwd, env });
  t.after(() => rm(cwd, { recursive: true, force: true, maxRetries: 10 }));
  terminal.type(way === 'npm' ? 'npm start' : start);
  return terminal;
}

/** npm itself ends by the signal once its script has ended, whatever that one's exit code: the last line tells. */
async function ended(terminal: Terminal, way: Way, exitCode: number): Promise<void> {
  const [last] = await terminal.shows(/^stopped.*$/m);
  assert.equal(last, exitCode === 0 ? 'stopped' : `stopped (exit code ${exitCode})`);
  terminal.type('echo "exit code=$?"');
  const [, shown] = await terminal.shows(/^exit code=(\d+)$/m);
  if (way === 'shell') assert.equal(Number(shown), exitCode);
}

async function urlOf(terminal: Terminal, id: string): Promise<string> {
  const [, url] = await terminal.shows(new RegExp(`^${id} +running +(http://\\S+) {2}`, 'm'));
  assert.ok(url);
  return url;
}

function wsOf(url: string): string {
  return `${url.replace('http', 'ws')}/ws`;
}
