/** An agent whose model is Claude's command line: the SDK is Anthropic's, the program behind it a double. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isTerminal, openChat } from '../fixtures/chat.ts';
import { startFleet } from '../fixtures/fleet-process.ts';

const PROGRAMS = fileURLToPath(new URL('../fixtures/claude', import.meta.url));

test('a conversation with claude-cli: its tools are ours, it is asked about its own, and never run twice', async (t) => {
  const fleet = await startFleet(t, {
    agents: ['claude'],
    yaml: () => 'model: { provider: claude-cli, model_id: claude-sonnet-4-6, permission_mode: bypass }\n',
    env: { PATH: `${PROGRAMS}:${process.env.PATH}` },
  });
  const { wsUrl, url, dir } = fleet.agent('claude');
  const chat = await openChat(t, wsUrl, { clientId: 'c', capabilities: ['delta', 'tools', 'resume'] });
  const ask = async (script: { name: string; steps: readonly object[] }) => {
    chat.send({ type: 'message', text: JSON.stringify(script), session_id: 's', id: script.name });
    return chat.frame((frame) => isTerminal(frame) && frame.id === script.name, `the end of ${script.name}`);
  };

  const first = await ask({
    name: 'first',
    steps: [
      { say: 'I write.' },
      { tool: 'vault_write', input: { path: 'a.md', content: 'hello' } },
      { say: 'Done.' },
    ],
  });
  assert.deepEqual([first.type, first.text], ['response', 'I write.\n\nDone.'], JSON.stringify(first));
  assert.equal(first.model, 'claude-cli/claude-sonnet-4-6');
  assert.match(readFileSync(join(dir, 'memories/a.md'), 'utf8'), /hello/);
  const calls = chat.frames.filter(({ type }) => type === 'tool').map(({ tool, status }) => [tool, status]);
  assert.deepEqual(calls, [
    ['vault_write', 'running'],
    ['vault_write', 'done'],
  ]);
  const pieces = chat.frames.filter(({ type }) => type === 'delta').map(({ text }) => text);
  assert.equal(pieces.join(''), first.text);

  assert.equal((await ask({ name: 'second', steps: [{ recall: true }] })).text, 'I remember: first');
  const usage = (await (await fetch(`${url}/api/usage`)).json()) as { by_model: Record<string, number> };
  assert.equal(usage.by_model['claude-cli/claude-sonnet-4-6'], 0.025, JSON.stringify(usage));

  // Begun afresh, and another conversation: neither knows of the first.
  chat.send({ type: 'command', name: 'new', session_id: 's' });
  await chat.frame(({ type }) => type === 'command_result', 'it is begun afresh');
  assert.equal((await ask({ name: 'third', steps: [{ recall: true }] })).text, 'I remember: nothing');

  // In the middle of what it does, everything is killed.
  const file = join(dir, 'touched');
  const steps = [{ touch: file }, { hang: true }];
  chat.send({ type: 'message', text: JSON.stringify({ steps }), session_id: 's2', id: 'm' });
  await chat.frame(
    ({ type, tool, status }) => type === 'tool' && tool === 'Bash' && status === 'done',
    'it acted',
  );
  await fleet.killGroup();
  await fleet.start();
  const again = await openChat(t, fleet.agent('claude').wsUrl, { clientId: 'c', capabilities: ['resume'] });
  const end = await again.frame((frame) => isTerminal(frame) && frame.id === 'm', 'its end');
  assert.deepEqual([end.type, end.code], ['error', 'turn.interrupted'], JSON.stringify(end));
  assert.equal(readFileSync(file, 'utf8'), 'touched\n');
  await fleet.stop();
});
