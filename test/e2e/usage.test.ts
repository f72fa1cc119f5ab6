/** Usage and models of a real agent: a provider is added and tested over REST, and what that cost is remembered. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { eventually } from '../fixtures/chat.ts';
import { startFleet } from '../fixtures/fleet-process.ts';

const MODEL = 'gpt-4o-mini';

/** Speaks Chat Completions, one word long. */
async function startProvider(t: TestContext): Promise<string> {
  const head = { id: 'c', object: 'chat.completion.chunk', created: 1, model: MODEL };
  const usage = { prompt_tokens: 1_000, completion_tokens: 500, total_tokens: 1_500 };
  const chunks = [
    { ...head, choices: [{ index: 0, delta: { role: 'assistant', content: 'ready' }, finish_reason: null }] },
    { ...head, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage },
  ];
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(`${chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('')}data: [DONE]\n\n`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

test('a provider is added and tested, its call is priced and counted, and a restart forgets nothing', async (t) => {
  const base_url = await startProvider(t);
  const fleet = await startFleet(t, {
    agents: 1,
    yaml: () => `model: { provider: echo, monthly_budget: 0.0001 }
providers: { openai: { api_key: sk-test-0123456789, base_url: "${base_url}", models: [${MODEL}] } }
`,
  });
  const ask = async (method: string, path: string, body?: object) => {
    const response = await fetch(`${fleet.agent('a1').url}${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, never> };
  };

  assert.deepEqual(await ask('POST', '/api/models/openai/test'), {
    status: 200,
    body: { ok: true, model: `openai:${MODEL}`, response: 'ready' },
  });
  const { by_model, calls, remaining } = (await ask('GET', '/api/usage')).body;
  assert.deepEqual([by_model, calls, remaining], [{ [`openai:${MODEL}`]: 0.00045 }, 1, 0]);
  const [model] = (await ask('GET', '/api/models/catalog')).body.models ?? [];
  assert.equal((model as unknown as { input_cost_per_million: number }).input_cost_per_million, 0.15);
  const refused = await ask('POST', '/api/providers/test', { provider: 'openai' });
  assert.deepEqual([refused.status, refused.body.code], [400, 'budget.exceeded']);

  await fleet.killGroup();
  await fleet.start();
  assert.equal((await ask('GET', '/api/usage')).body.monthly_spend, 0.00045);
  assert.equal((await ask('POST', '/api/models', { name: 'mine', base_url, models: ['m'] })).status, 200);
  // The agent is restarted for it in a moment, and may be away just then.
  await eventually(async () => {
    const tested = await ask('POST', '/api/models/mine/test').catch(() => undefined);
    return tested?.body.code === 'budget.exceeded';
  }, 'the added provider to be known');
  await fleet.stop();
});
