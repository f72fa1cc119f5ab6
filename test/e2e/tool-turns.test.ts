/** Turns with tools of a real fleet: what a person approves, what a budget ends, what a kill of everything leaves behind. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Chat, eventually, type Frame, isTerminal, openChat } from '../fixtures/chat.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { startDouble, stopDouble } from '../fixtures/model-double.ts';

const CAPABILITIES = ['approvals', 'delta', 'tools', 'resume'];
const SHELL = 'tools: { shell: { enabled: true }';

/** Adds a line to a file of the agent's directory, and perhaps never ends. */
const appends = (line: string, holds = false) => ({
  command: process.execPath,
  args: [
    '-e',
    `require('fs').appendFileSync('acts', '${line}\\n');${holds ? 'setInterval(() => {}, 1e6)' : ''}`,
  ],
});
const call = (line: string) => `/tool shell_run ${JSON.stringify(appends(line))}`;
const actsOf = (fleet: FleetProcess, id: string): readonly string[] => {
  const path = join(fleet.agent(id).dir, 'acts');
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
};

const person = (t: TestContext, fleet: FleetProcess, id: string) =>
  openChat(t, fleet.agent(id).wsUrl, { clientId: 'person', capabilities: CAPABILITIES });
const questionIn = (chat: Chat, session: string): Promise<Frame> =>
  chat.frame(({ type, session_id }) => type === 'approval_request' && session_id === session, 'a question');
const endIn = (chat: Chat, session: string): Promise<Frame> =>
  chat.frame((frame) => isTerminal(frame) && frame.session_id === session, `the end of ${session}`);
const decide = (chat: Chat, { approval_id }: Frame, decision: 'allow' | 'deny') =>
  chat.send({ type: 'approval', approval_id, decision });

test('a person approves, denies, comes back, and is asked again after a kill of everything; nothing runs twice', async (t) => {
  const double = await startDouble();
  t.after(() => stopDouble(double));
  const toolCalls = [{ id: 'call_1', name: 'shell_run', arguments: JSON.stringify(appends('unsafe', true)) }];
  double.on({ userMessage: 'act unsafely', hasToolResult: false }, { content: 'I act.', toolCalls });
  double.onMessage('what happened', { content: 'I was cut.' });
  const YAML: Readonly<Record<string, string>> = {
    asks: `${SHELL} }\n`,
    hasty: `${SHELL}, approval_ms: 1000 }\n`,
    acts: [
      `model: { provider: groq, model_id: llama-3.3-70b-versatile, api_key: k, base_url: "${double.url}/v1" }`,
      `${SHELL}, policy: { shell_run: allow } }\n`,
    ].join('\n'),
  };
  const fleet = await startFleet(t, { agents: Object.keys(YAML), yaml: (id) => YAML[id] ?? '' });
  const [asks, hasty, acts] = [
    await person(t, fleet, 'asks'),
    await person(t, fleet, 'hasty'),
    await person(t, fleet, 'acts'),
  ];
  hasty.send({ type: 'message', text: call('late'), session_id: 'late' });
  const late = await questionIn(hasty, 'late');

  for (const session of ['yes', 'no', 'away', 'killed']) {
    asks.send({ type: 'message', text: call(session), session_id: session, id: session });
  }
  const shown = await questionIn(asks, 'yes');
  assert.deepEqual([shown.tool, shown.arguments], ['shell_run', { ...appends('yes') }]);
  decide(asks, shown, 'allow');
  assert.match(String((await endIn(asks, 'yes')).text), /shell_run: /);
  decide(asks, await questionIn(asks, 'no'), 'deny');
  assert.match(String((await endIn(asks, 'no')).text), /a person has denied it/);
  const [away, killed] = [await questionIn(asks, 'away'), await questionIn(asks, 'killed')];
  asks.close();
  const back = await person(t, fleet, 'asks');
  assert.equal((await questionIn(back, 'away')).approval_id, away.approval_id);
  decide(back, away, 'allow');
  await endIn(back, 'away');

  assert.match(String((await endIn(hasty, 'late')).text), /nobody approved it in time/);
  decide(hasty, late, 'allow');
  const tooLate = await hasty.frame(({ code }) => code === 'approval.not_found', 'told so');
  assert.equal(tooLate.type, 'error');
  assert.deepEqual(actsOf(fleet, 'hasty'), []);

  acts.send({ type: 'message', text: 'act unsafely', session_id: 'S', id: 'unsafe' });
  await eventually(() => actsOf(fleet, 'acts').length === 1, 'it acts');
  await fleet.killGroup();
  await fleet.start();

  const again = await person(t, fleet, 'asks');
  const asked = await questionIn(again, 'killed');
  assert.notEqual(asked.approval_id, killed.approval_id);
  assert.deepEqual(asked.arguments, killed.arguments);
  decide(again, killed, 'allow');
  await again.frame(({ code }) => code === 'approval.not_found', 'the old question is none');
  decide(again, asked, 'allow');
  assert.equal((await endIn(again, 'killed')).id, 'killed');
  assert.deepEqual(actsOf(fleet, 'asks'), ['yes', 'away', 'killed']);

  const told = await person(t, fleet, 'acts');
  assert.equal((await endIn(told, 'S')).code, 'turn.interrupted');
  told.send({ type: 'message', text: 'what happened', session_id: 'S', id: 'next' });
  await told.frame(({ type, id }) => type === 'response' && id === 'next', 'the next answer');
  const sent = JSON.stringify(double.getLastRequest()?.body);
  for (const known of [
    'act unsafely',
    'I act.',
    'call_1',
    'nobody knows what it did',
    'Ended here by a crash',
  ]) {
    assert.ok(sent.includes(known), `${known} in ${sent}`);
  }
  assert.deepEqual(actsOf(fleet, 'acts'), ['unsafe']);
  await fleet.stop();
});

test('a budget that ends in the middle of a turn ends the turn; what was spent is in the ledger, and stays there', async (t) => {
  const double = await startDouble();
  t.after(() => stopDouble(double));
  const usage = { prompt_tokens: 1_000, completion_tokens: 500, total_tokens: 1_500 };
  const write = (id: string) => ({
    ...{ content: 'A note.', usage },
    toolCalls: [{ id, name: 'vault_write', arguments: `{"path":"${id}.md","content":"x"}` }],
  });
  double.on({ toolCallId: 'first' }, write('second'));
  double.on({ toolCallId: 'second' }, write('third'));
  double.onMessage('go on', write('first'));
  // $0.00045 a call: the second one is let in and overshoots, the third is not.
  const yaml = `model: { provider: groq, model_id: m, api_key: k, base_url: "${double.url}/v1", daily_budget: 0.0008, monthly_budget: 0.0017 }
providers: { groq: { models: [{ id: m, input_cost_per_million: 0.15, output_cost_per_million: 0.6 }] } }
`;
  const fleet = await startFleet(t, { agents: ['poor'], yaml: () => yaml });
  const open = () => openChat(t, fleet.agent('poor').wsUrl, { clientId: 'c', capabilities: ['resources'] });
  const chat = await open();
  const end = await chat.ask('go on');
  assert.deepEqual([end.type, end.code], ['error', 'budget.exceeded'], JSON.stringify(end));
  const notes = ['first', 'second', 'third'].map((id) =>
    existsSync(join(fleet.agent('poor').dir, `memories/${id}.md`)),
  );
  assert.deepEqual(notes, [true, true, false]);
  const spent = async () => {
    const response = await fetch(`${fleet.agent('poor').url}/api/usage`);
    const { calls, failed_calls, daily_spend, daily_remaining, reserved } = (await response.json()) as Record<
      string,
      unknown
    >;
    return { calls, failed_calls, daily_spend, daily_remaining, reserved };
  };
  const money = { calls: 2, failed_calls: 0, daily_spend: 0.0009, daily_remaining: 0, reserved: 0 };
  assert.deepEqual(await spent(), money);
  assert.equal((await chat.ask('once more')).code, 'budget.exceeded');
  await obeys(chat);
  // The second call reaches a mark of both, the month's first.
  const marks = ['day 50', 'month 50', 'day 100'];
  assert.deepEqual(toldOf(chat), marks);
  const warned = fleet.events.filter(({ type, code }) => type === 'warning' && code === 'budget.reached');
  assert.deepEqual(
    warned.map(({ id, message }) => `${id}: ${/of this (month|day) is spent/.exec(String(message))?.[1]}`),
    marks.map((mark) => `poor: ${mark.split(' ')[0]}`),
  );
  await fleet.killGroup();
  await fleet.start();
  assert.deepEqual(await spent(), money);
  const later = await open();
  assert.equal((await later.ask('after the kill')).code, 'budget.exceeded');
  await obeys(later);
  assert.deepEqual(toldOf(later), [], 'each is told once');
  assert.ok(!fleet.events.some(({ code }) => code === 'budget.reached'), fleet.output());
  await fleet.stop();
});

const toldOf = ({ frames }: Chat): readonly string[] =>
  frames
    .filter(({ type, resource }) => type === 'resource_event' && resource === 'budget')
    .map(({ id, details }) => `${id} ${(details as { readonly percent: number }).percent}`);

/** What a spent budget must not take away. */
async function obeys(chat: Chat): Promise<void> {
  for (const name of ['status', 'queue', 'usage', 'help', 'stop', 'new']) {
    chat.send({ type: 'command', name, id: name });
    const { code, text } = await chat.frame(({ type, id }) => type === 'command_result' && id === name, name);
    assert.equal(code, undefined, `${name}: ${String(text)}`);
  }
}
