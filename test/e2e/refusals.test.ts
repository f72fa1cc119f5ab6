/** Every way in which a directory is refused has its own message, and the other agents run all the same. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openChat } from '../fixtures/chat.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { isolations } from '../fixtures/matrix.ts';
import { mountTmpfs, remountReadOnly, whyNoMount } from '../fixtures/mounts.ts';

const ECHO = 'model: { provider: echo }\n';

test('unusable configurations are refused by file, line, column and key while the others run', async (t) => {
  const yaml: Readonly<Record<string, string>> = {
    'bad-yaml': 'model: { provider: echo }\nname: "no end\n',
    'no-variable': `${ECHO}channels:\n  websocket:\n    token: \${OPENAGENT_TEST_NO_SUCH}\n`,
    'wrong-type': `${ECHO}supervisor:\n  drain_ms: soon\n`,
    'wrong-model': 'model:\n  provider: nobody\n',
    public: `${ECHO}channels:\n  websocket:\n    host: 0.0.0.0\n`,
    fine: ECHO,
  };
  const fleet = await startFleet(t, {
    agents: Object.keys(yaml),
    yaml: (id) => yaml[id] ?? '',
    ready: 'settled',
  });
  const refusals = {
    'bad-yaml': ['config.invalid', /openagent\.yaml:\d+:\d+ .*quote/],
    'no-variable': ['config.variable_missing', /openagent\.yaml:4:\d+ .*OPENAGENT_TEST_NO_SUCH/],
    'wrong-type': ['config.invalid', /openagent\.yaml:3:13 supervisor\.drain_ms: expected a whole number/],
    'wrong-model': ['config.invalid', /openagent\.yaml:2:13 model\.provider: expected one of echo, /],
    public: [
      'bind.public_without_token',
      /openagent\.yaml:4:11 channels\.websocket\.host: .*set .*token.*127\.0\.0\.1/,
    ],
  } as const;
  for (const [id, [code, says]] of Object.entries(refusals)) {
    const reason = refusalOf(fleet, fleet.agent(id).dir);
    assert.equal(reason.code, code);
    assert.match(reason.message, says);
    assert.ok(!existsSync(join(fleet.agent(id).dir, 'openagent.db')), 'nothing is made for it');
  }
  await answers(t, fleet, 'fine');
  await fleet.stop();
});

test('unusable directories are refused by their full path while the others run', async (t) => {
  const fleet = await startFleet(t, {
    agents: ['first'],
    dirs: [
      'first',
      'photos',
      'first',
      'link-to-first',
      'other/first',
      'README.md',
      'README.md/agent',
      'new/agent-of-two-levels',
      'nothing-*',
    ],
    prepare: (place) => {
      mkdirSync(join(place, 'photos'));
      writeFileSync(join(place, 'photos/cat.jpg'), 'not an agent');
      writeFileSync(join(place, 'README.md'), 'a file among the directories');
      mkdirSync(join(place, 'other/first'), { recursive: true });
      writeFileSync(join(place, 'other/first/openagent.yaml'), ECHO);
      mkdirSync(join(place, 'first'));
      symlinkSync(join(place, 'first'), join(place, 'link-to-first'));
    },
    ready: 'settled',
  });
  const at = (name: string) => join(fleet.place, name);
  const expected = [
    ['photos', 'directory.not_agent', /has files but no openagent\.yaml.* init /],
    ['first', 'directory.duplicate', /is given twice/],
    ['link-to-first', 'directory.duplicate', /is the same directory as .*\/first/],
    ['other/first', 'agent.id_duplicate', /would both have the id "first"\. Rename one/],
    ['README.md/agent', 'directory.unwritable', /a part of the path is not a directory/],
    ['nothing-*', 'directory.not_agent', /Nothing matches/],
  ] as const;
  const refused = fleet.events.filter(({ state }) => state === 'refused');
  assert.deepEqual(refused.map(({ dir }) => dir).sort(), expected.map(([name]) => at(name)).sort());
  for (const [name, code, says] of expected) {
    const reason = refusalOf(fleet, at(name));
    assert.equal(reason.code, code, name);
    assert.match(reason.message, says);
    assert.ok(reason.message.includes(at(name)), `${reason.message} names the full path`);
  }
  const made = at('new/agent-of-two-levels');
  assert.ok(fleet.events.some(({ type, dir }) => type === 'created' && dir === made));
  for (const name of ['openagent.yaml', 'memories', 'logs']) assert.ok(existsSync(join(made, name)), name);
  await fleet.event(({ id, state }) => id === 'agent-of-two-levels' && state === 'running');
  await answers(t, fleet, 'first');
  await fleet.stop();
});

test('directories that cannot be written are refused while the others run', {
  skip: whyNoMount(),
}, async (t) => {
  const disk = mountTmpfs(t, '1m');
  const [agent, missing] = [join(disk, 'agent'), join(disk, 'missing')];
  mkdirSync(agent);
  writeFileSync(join(agent, 'openagent.yaml'), ECHO);
  remountReadOnly(disk);
  const fleet = await startFleet(t, { agents: ['fine'], dirs: [agent, missing, 'fine'], ready: 'settled' });
  for (const dir of [agent, missing]) {
    const { code, message } = refusalOf(fleet, dir);
    assert.equal(code, 'directory.unwritable');
    assert.equal(message, `${dir} cannot be written: its file system is read-only. Choose another directory`);
  }
  await answers(t, fleet, 'fine');
  await fleet.stop();
});

for (const isolation of isolations('thread')) {
  test(`a second supervisor is refused the directory of the first, which goes on (${isolation})`, async (t) => {
    const first = await startFleet(t, { agents: ['shared'], isolation });
    const chat = await openChat(t, first.agent('shared').wsUrl, { clientId: 'stays' });
    const shared = first.agent('shared').dir;
    const second = await startFleet(t, {
      agents: ['own'],
      dirs: ['own', shared],
      isolation,
      ready: 'settled',
    });
    const reason = refusalOf(second, shared);
    assert.equal(reason.code, 'directory.locked');
    assert.ok(reason.message.includes(`${shared} is in use by process ${first.hostPid} `), reason.message);
    await answers(t, second, 'own');
    await second.stop();
    assert.equal((await chat.ask('still here')).text, 'echo: still here');
    assert.equal(
      readFileSync(join(shared, '.port'), 'utf8'),
      String(first.agent('shared').port),
      'the loser leaves .port alone',
    );
    await first.stop();
    const third = await startFleet(t, { agents: ['own'], dirs: [shared], isolation, ready: 'settled' });
    await third.event(({ dir, state }) => dir === shared && state === 'running', 'free after the first');
    await third.stop();
  });
}

test('when all are refused the exit code says so', async (t) => {
  const fleet = await startFleet(t, { agents: 2, yaml: () => 'model: [', ready: 'settled' });
  assert.equal(await fleet.exit, 3);
  assert.equal(fleet.events.at(-1)?.exit_code, 3);
  assert.equal(fleet.events.filter(({ state }) => state === 'refused').length, 2);
});

function refusalOf(fleet: FleetProcess, path: string): { code: string; message: string } {
  const told = fleet.events.find(({ dir, state }) => dir === path && state === 'refused');
  assert.ok(told, `${path} is not refused\n${fleet.output()}`);
  return told.reason as { code: string; message: string };
}

async function answers(t: TestContext, fleet: FleetProcess, id: string): Promise<void> {
  const chat = await openChat(t, fleet.agent(id).wsUrl, { clientId: 'asks' });
  assert.equal((await chat.ask('hello')).text, 'echo: hello');
}
