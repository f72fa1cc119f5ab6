/** A fleet whose echo agent uses its own tools, and a client that resumes across a restart of the agent. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, isTerminal, openChat } from '../fixtures/chat.ts';
import { startFleet } from '../fixtures/fleet-process.ts';

const CAPABILITIES = ['delta', 'tools', 'resume'];

test('a turn writes a note with a tool, tells of it, and streams its answer', async (t) => {
  const fleet = await startFleet(t, { agents: ['echo'], yaml: () => 'model: { provider: echo }\n' });
  const { wsUrl, dir } = fleet.agent('echo');
  const chat = await openChat(t, wsUrl, { clientId: 'c', capabilities: CAPABILITIES });
  const answer = await chat.ask('/tool vault_write {"path":"a.md","content":"hello"}\nwritten');
  assert.equal(answer.type, 'response', JSON.stringify(answer));
  assert.match(readFileSync(join(dir, 'memories/a.md'), 'utf8'), /hello/);
  const calls = chat.frames.filter(({ type }) => type === 'tool').map(({ tool, status }) => [tool, status]);
  assert.deepEqual(calls, [
    ['vault_write', 'running'],
    ['vault_write', 'done'],
  ]);
  assert.ok(chat.frames.some(({ text }) => String(text).startsWith('{"tool":"vault_write"')));
  await fleet.stop();
});

test('a client that resumes has the answer whole, though its agent was restarted in the middle of it', async (t) => {
  const yaml = () => 'model: { provider: echo, delay_ms: 40 }\nsupervisor: { drain_ms: 100 }\n';
  const fleet = await startFleet(t, { agents: ['echo'], yaml });
  const { wsUrl, url } = fleet.agent('echo');
  const auth = { clientId: 'c', capabilities: CAPABILITIES };
  const first = await openChat(t, wsUrl, auth);
  const words = Array.from({ length: 60 }, (_, at) => `word${at}`).join(' ');
  first.send({ type: 'message', text: words, session_id: 's', id: 'm' });
  await first.frame(({ type, seq }) => type === 'delta' && Number(seq) >= 3, 'some pieces');
  await fetch(`${url}/api/restart`, { method: 'POST' });
  assert.equal(await first.closed(), 1012);
  const pieces = first.frames.filter(({ type }) => type === 'delta');
  // While it is restarted nobody listens.
  const second = await eventually(() => openChat(t, wsUrl, auth).catch(() => undefined), 'it is back');
  second.send({ type: 'resume', session_id: 's', after_seq: pieces.length, id: 'r' });
  const end = await second.frame(isTerminal, 'the end');
  assert.equal(end.text, `echo: ${words}`);
  let said: (typeof first.frames)[number][] = [];
  for (const [at, piece] of [...pieces, ...second.frames.filter(({ type }) => type === 'delta')].entries()) {
    assert.equal(piece.seq, at + 1);
    if (piece.void_after !== undefined)
      said = said.filter(({ seq }) => Number(seq) <= Number(piece.void_after));
    said.push(piece);
  }
  assert.equal(said.map(({ text }) => text).join(''), `echo: ${words}`);
  await fleet.stop();
});
