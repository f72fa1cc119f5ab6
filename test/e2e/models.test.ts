/** A fleet whose agents call models over HTTP, of a double on this machine. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { ROUTES } from '../../src/contract/routes.ts';
import { isTerminal, openChat } from '../fixtures/chat.ts';
import { startFleet } from '../fixtures/fleet-process.ts';
import { startDouble, stopDouble } from '../fixtures/model-double.ts';

/** One pixel. */
const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

test('an agent answers through its provider; one without key starts, says what is missing, and says so again', async (t) => {
  const double = await startDouble();
  t.after(() => stopDouble(double));
  double.onMessage('what is near', { content: 'The sea is near.' });
  const YAML: Readonly<Record<string, string>> = {
    local: `model: { provider: openai, model_id: gpt-4.1, base_url: "${double.url}/v1" }\n`,
    keyless: 'model: { provider: anthropic }\n',
    blind: `model: { provider: groq, model_id: m, api_key: k, base_url: "${double.url}/v1" }
providers: { groq: { models: [{ id: m, vision: false }] } }
`,
    // Judged to be worth the blind one, and shown to the other.
    routed: `model: { provider: smart, routing: { simple: "groq:m", hard: "groq:eyes" } }
providers: { groq: { api_key: k, base_url: "${double.url}/v1", models: [{ id: m, vision: false }, eyes] } }
`,
  };
  const fleet = await startFleet(t, {
    agents: Object.keys(YAML),
    yaml: (id) => YAML[id] ?? '',
    env: { ANTHROPIC_API_KEY: '' },
  });

  const local = await openChat(t, fleet.agent('local').wsUrl, { clientId: 'c', capabilities: ['delta'] });
  const answer = await local.ask('what is near');
  assert.equal(answer.type, 'response', JSON.stringify(answer));
  assert.deepEqual([answer.text, answer.model], ['The sea is near.', 'openai:gpt-4.1']);
  const deltas = local.frames.filter(({ type }) => type === 'delta').map(({ text }) => text);
  assert.equal(deltas.join(''), 'The sea is near.');
  assert.ok(deltas.length > 1);
  assert.equal(double.getLastRequest()?.headers.authorization, undefined);

  for (const id of ['local', 'blind', 'routed']) {
    const path = join(fleet.agent(id).dir, 'uploads', 'shore.png');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, Buffer.from(PNG, 'base64'));
    const chat = await openChat(t, fleet.agent(id).wsUrl, { clientId: 'c' });
    const attachments = [{ type: 'image', filename: 'shore.png', path }];
    chat.send({ type: 'message', text: 'what is near', session_id: 'S', id: 'seen', attachments });
    assert.equal((await chat.frame(isTerminal)).type, 'response');
    const sent = JSON.stringify(double.getLastRequest()?.body);
    assert.match(sent, /image: shore\.png — local path: /);
    assert.deepEqual(
      [sent.includes(PNG), sent.includes('cannot be shown images')],
      [id !== 'blind', id === 'blind'],
    );
    if (id === 'routed') assert.match(sent, /"model":"eyes"/);
  }

  const keyless = await openChat(t, fleet.agent('keyless').wsUrl, { clientId: 'c' });
  const failed = await keyless.ask('hello');
  assert.deepEqual([failed.type, failed.code], ['error', 'model.unconfigured']);
  assert.match(String(failed.text), /ANTHROPIC_API_KEY/);
  for (const [name, { method, path }] of Object.entries(ROUTES)) {
    if (method !== 'GET' || path.includes('{')) continue;
    const response = await fetch(`${fleet.agent('keyless').url}${path}`);
    const text = await response.text();
    assert.ok(response.status < 500, `${name}: ${response.status} ${text}`);
  }
  const warning = await fleet.event((event) => JSON.stringify(event).includes('model.unconfigured'));
  assert.match(JSON.stringify(warning), /keyless.*Anthropic needs an API key/s);
  await fleet.stop();
});
