import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { NO_SUMS } from '../../src/supervisor/agent-sums.ts';
import { longestDeadlines } from '../../src/supervisor/child-spec.ts';
import type { AgentStatus } from '../../src/supervisor/fleet.ts';
import { agentTable } from '../../src/supervisor/report/agent-table.ts';
import { createHumanReport } from '../../src/supervisor/report/human-report.ts';
import { createJsonReport } from '../../src/supervisor/report/json-report.ts';
import { agentUrl, type Report } from '../../src/supervisor/report/report.ts';
import { agentStatus } from '../fixtures/agent-status.ts';

test('a running agent is one line with id, state, URL, model and transport', () => {
  const { report, out } = openReport(createHumanReport);
  report.expect(['hello', 'longer-id']);
  report.agent(running());
  assert.equal(out(), 'hello      running      http://127.0.0.1:8765  echo (no real model)  uws\n');
});

test('a state that is told again, with another heartbeat, is no news', () => {
  const { report, out } = openReport(createHumanReport);
  const beat = {
    atMs: 1,
    lagMs: 0,
    progress: 1,
    turnsRunning: 0,
    turnsWaiting: 0,
    sockets: 0,
    memory: { heapUsed: 0, external: 0, arrayBuffers: 0 },
    ...NO_SUMS,
    task: 1,
  };
  report.agent(running());
  report.agent(running({ beat }));
  assert.equal(out().split('\n').length, 2);
  report.agent(running({ port: 8766 }));
  assert.equal(out().split('\n').length, 3);
});

test('why the transport is not the usual one stands beside it', () => {
  const { report, out } = openReport(createHumanReport);
  report.agent(running({ transport: 'node', transportNote: 'no uws build for Node 26' }));
  assert.match(out(), / {2}node \(no uws build for Node 26\)\n$/);
});

test('a refused directory is told with its full path and every reason', () => {
  const { report, out } = openReport(createHumanReport);
  const reason = {
    code: 'config.invalid',
    message: 'line 3: expected a number\nline 7: unknown provider',
  } as const;
  report.agent(running({ state: 'refused', dir: '/srv/agents/hello', reason }));
  assert.match(
    out(),
    /^\/srv\/agents\/hello {2}refused +line 3: expected a number\n {4}line 7: unknown provider\n$/,
  );
});

test('what happens next, or what to do, follows the reason of a failure', () => {
  const { report, out } = openReport(createHumanReport);
  const reason = { code: 'agent.crashed', message: 'boom' } as const;
  report.agent(running({ state: 'backoff', reason, restartInMs: 400 }));
  report.agent(running({ state: 'quarantined', reason }));
  assert.match(out(), /backoff +boom {2}starts again in 0\.4 s\n/);
  assert.match(out(), /quarantined +boom {2}given up; see \/agents\/hello\/logs\/events\.jsonl/);
});

test('names and reasons cannot repaint the terminal or forge a line', () => {
  const { report, out } = openReport(createHumanReport);
  const reason = { code: 'internal', message: 'a\u001b[2Jb\rc\u0007' } as const;
  report.agent(running({ id: 'x\ny', state: 'quarantined', reason }));
  assert.match(out(), /^x\u{fffd}y +quarantined +ab\u{fffd}c\u{fffd} /u);
});

test('colours are for terminals, and not where NO_COLOR is set or TERM is dumb', () => {
  const colored = (isTTY: boolean, env: Record<string, string>): boolean => {
    const { report, out } = openReport(createHumanReport, { isTTY, env });
    report.agent(running());
    return out() !== stripVTControlCharacters(out());
  };
  assert.equal(colored(true, {}), true);
  assert.equal(colored(false, {}), false);
  assert.equal(colored(false, { CI: '1' }), false);
  assert.equal(colored(true, { NO_COLOR: '1' }), false);
  assert.equal(colored(true, { TERM: 'dumb' }), false);
});

test('the table and the next steps are printed once all have settled', async () => {
  const { report, out } = openReport(createHumanReport);
  await report.settled([running()], deadlines);
  assert.match(out(), /^\nid +name +state +url +model +transport +isolation\n/);
  assert.match(
    out(),
    /\nhello +Hello +running +http:\/\/127\.0\.0\.1:8765 +echo \(no real model\) +uws +thread\n/,
  );
  assert.match(out(), /curl http:\/\/127\.0\.0\.1:8765\/api\/health/);
  assert.match(out(), /ws:\/\/127\.0\.0\.1:8765\/ws/);
  assert.match(out(), /Ctrl-C/);
  assert.match(out(), /\n\ndeadlines: {2}drain 10 s, close 2\.5 s, then interrupt 2 s, kill 5 s\nask one: /);
});

test('the table keeps within a narrow terminal and never drops id, state or URL', () => {
  const reason = { code: 'agent.crashed', message: `it fell over ${'and over '.repeat(30)}` } as const;
  const table = agentTable(
    [running(), running({ id: 'other', state: 'backoff', reason })],
    80,
    (text) => text,
  );
  for (const line of table.split('\n')) assert.ok(line.length <= 80, `${line.length}: ${line}`);
  assert.match(table, /hello +.*running +http:\/\/127\.0\.0\.1:8765/);
  assert.match(table, /other/);
  assert.match(table, /it fell over/);
});

test('every line of the report for programs is JSON with a time and a type', async () => {
  const { report, out } = openReport(createJsonReport);
  report.started(4711, '1.2.3');
  report.created('/agents/new');
  report.agent(running());
  report.warning({ code: 'token.on_command_line', message: 'visible' }, undefined);
  await report.settled([running()], deadlines);
  report.stopping('SIGTERM', 'drain');
  report.stopped(0, []);
  const lines = out()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.map(({ type }) => type),
    ['started', 'created', 'agent', 'warning', 'settled', 'stopping', 'stopped'],
  );
  assert.ok(lines.every(({ ts }) => ts === 1_700_000_000.5));
  assert.deepEqual(lines[2], {
    ts: 1_700_000_000.5,
    type: 'agent',
    id: 'hello',
    dir: '/agents/hello',
    name: 'Hello',
    state: 'running',
    url: 'http://127.0.0.1:8765',
    port: 8765,
    model: 'echo',
    transport: 'uws',
    isolation: 'thread',
    restarts: 0,
  });
  assert.equal(lines[4].agents[0].id, 'hello');
  assert.deepEqual(lines[4].deadlines, {
    drain_ms: 10_000,
    close_ms: 2_500,
    grace_ms: 500,
    interrupt_ms: 2_000,
    kill_ms: 5_000,
  });
});

test('an agent that prints without end is cut off within the second and what is missing is counted', () => {
  const clock = { nowMs: 0 };
  const { report, err } = openReport(createHumanReport, { clock });
  for (let line = 0; line < 1_000; line += 1) report.output('noisy', `line ${line}`);
  report.output('quiet', 'one line');
  const shown = err().trimEnd().split('\n');
  assert.equal(shown.filter((line) => line.startsWith('[noisy] ')).length, 50);
  assert.ok(shown.includes('[quiet] one line'));
  clock.nowMs = 1_000;
  report.output('noisy', 'again');
  assert.deepEqual(err().trimEnd().split('\n').slice(-2), [
    '[noisy] … 950 more lines not shown',
    '[noisy] again',
  ]);
});

test('an IPv6 address is bracketed in the URL', () => {
  assert.equal(agentUrl({ host: '::1', port: 8765 }), 'http://[::1]:8765');
  assert.equal(agentUrl({ host: '127.0.0.1', port: undefined }), undefined);
});

test('without an agent that could be supervised there are no deadlines to tell', async () => {
  const people = openReport(createHumanReport);
  await people.report.settled([running({ state: 'refused', port: undefined })], undefined);
  assert.doesNotMatch(people.out(), /deadlines/);
  const programs = openReport(createJsonReport);
  await programs.report.settled([running({ state: 'refused' })], longestDeadlines([]));
  assert.ok(!('deadlines' in JSON.parse(programs.out())));
});

test('what came, went and was reloaded is a line for people and an event for programs; a refusal is a warning', () => {
  const problem = { code: 'config.invalid', message: '/a/openagent.yaml:3:10 name: expected text' } as const;
  const tell = ({ report }: ReturnType<typeof openReport>): void => {
    report.added('hello', '/agents/hello');
    report.config({ type: 'config.applied', how: 'live', sections: ['logging.level'] }, 'hello');
    report.config({ type: 'config.applied', how: 'restart', sections: ['model', 'mcp'] }, 'hello');
    report.config({ type: 'config.applied', how: 'next start', sections: ['name'] }, 'hello');
    report.config({ type: 'config.applied', how: 'nothing', sections: [] }, 'hello');
    report.config({ type: 'config.invalid', problem, line: 3 }, 'hello');
    report.removed('hello', '/agents/hello');
  };
  const people = openReport(createHumanReport);
  people.report.expect(['hello']);
  tell(people);
  assert.deepEqual(people.out().trimEnd().split('\n'), [
    'hello  added        /agents/hello',
    'hello  reloaded     logging.level: in use',
    'hello  reloaded     model, mcp: starts again with it',
    'hello  reloaded     name: in use from the next start',
    'hello  reloaded     openagent.yaml says again what is in use',
    'hello  removed      /agents/hello',
  ]);
  assert.equal(
    people.err(),
    'warning: hello: /a/openagent.yaml:3:10 name: expected text; it goes on with the configuration it has\n',
  );
  const programs = openReport(createJsonReport);
  tell(programs);
  const events = programs
    .out()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    events.map(({ ts: _ts, ...event }) => event),
    [
      { type: 'added', id: 'hello', dir: '/agents/hello' },
      { type: 'config', id: 'hello', state: 'applied', how: 'live', sections: ['logging.level'] },
      { type: 'config', id: 'hello', state: 'applied', how: 'restart', sections: ['model', 'mcp'] },
      { type: 'config', id: 'hello', state: 'applied', how: 'next start', sections: ['name'] },
      { type: 'config', id: 'hello', state: 'applied', how: 'nothing', sections: [] },
      { type: 'config', id: 'hello', state: 'invalid', problem, line: 3 },
      { type: 'removed', id: 'hello', dir: '/agents/hello' },
    ],
  );
});

test('an incident is one line with its file on stderr for people, and an event for programs', () => {
  const incident = {
    kind: 'hung',
    text: 'hung for 2.0 s in spin (bridges/spin.ts:8)',
    file: '/a/i.json',
  } as const;
  const people = openReport(createHumanReport);
  people.report.incident(incident, 'hello');
  assert.equal(people.err(), 'incident: hello hung for 2.0 s in spin (bridges/spin.ts:8) (/a/i.json)\n');
  assert.equal(people.out(), '');
  const programs = openReport(createJsonReport);
  programs.report.incident(incident, 'hello');
  assert.deepEqual(JSON.parse(programs.out()), {
    ts: 1_700_000_000.5,
    type: 'incident',
    id: 'hello',
    ...incident,
  });
});

/** Of two agents, one of which drains for longer and the other of which closes for longer. */
const deadlines = longestDeadlines([
  { drainMs: 10_000, closeMs: 2_000 },
  { drainMs: 5_000, closeMs: 2_500 },
]);

function running(changes: Partial<AgentStatus> = {}): AgentStatus {
  return agentStatus('hello', { name: 'Hello', ...changes });
}

function openReport(
  create: typeof createHumanReport,
  options: { isTTY?: boolean; env?: Record<string, string>; clock?: { nowMs: number } } = {},
): { report: Report; out: () => string; err: () => string } {
  const written = { out: '', err: '' };
  const stream = (name: 'out' | 'err') => ({
    isTTY: options.isTTY ?? false,
    write(text: string) {
      written[name] += text;
    },
  });
  const report = create({
    out: stream('out'),
    err: stream('err'),
    env: options.env ?? {},
    monotonicMs: () => options.clock?.nowMs ?? 0,
    wallMs: () => 1_700_000_000_500,
  });
  return { report, out: () => written.out, err: () => written.err };
}
