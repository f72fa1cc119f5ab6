/** OpenAI's own client against real agents: one that asks a provider, and one that dies in the middle of an answer. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import OpenAI, { APIError } from 'openai';
import { eventually } from '../fixtures/chat.ts';
import { startFleet } from '../fixtures/fleet-process.ts';
import { startDouble, stopDouble } from '../fixtures/model-double.ts';

test('an agent answers OpenAI’s client through its provider, with what was said before; a crash is an error', async (t) => {
  const double = await startDouble();
  t.after(() => stopDouble(double));
  double.onMessage('what is near', { content: 'The sea is near.' });
  double.onMessage('be long', { content: 'It goes on', finishReason: 'length' });
  double.onMessage('be rude', { content: 'You are', finishReason: 'content_filter' });
  const YAML: Readonly<Record<string, string>> = {
    asks: [
      `model: { provider: openai, model_id: gpt-4.1, base_url: "${double.url}/v1" }`,
      'providers:',
      `  anthropic: { api_key: k, base_url: "${double.url}/v1", models: [claude-sonnet-4-6] }`,
      `  google: { api_key: k, base_url: "${double.url}/v1beta", models: [gemini-2.5-pro] }`,
      `  groq: { api_key: k, base_url: "${double.url}/v1", models: [llama-3.3-70b-versatile] }\n`,
    ].join('\n'),
    slow: 'model: { provider: echo, delay_ms: 200 }\n',
  };
  const fleet = await startFleet(t, { agents: Object.keys(YAML), yaml: (id) => YAML[id] ?? '' });
  const clientOf = (id: string) =>
    new OpenAI({ baseURL: `${fleet.agent(id).url}/v1`, apiKey: 'none', maxRetries: 0 });

  const openai = clientOf('asks');
  const answer = await openai.chat.completions.create({
    model: 'openai:gpt-4.1',
    messages: [
      { role: 'user', content: 'We are at the coast.' },
      { role: 'assistant', content: 'I see.' },
      { role: 'user', content: 'what is near' },
    ],
  });
  assert.deepEqual(
    [answer.choices[0]?.message.content, answer.model],
    ['The sea is near.', 'openai:gpt-4.1'],
  );
  assert.ok((answer.usage?.prompt_tokens ?? 0) > 0, JSON.stringify(answer.usage));
  const sent = JSON.stringify(double.getLastRequest()?.body);
  const said = ['We are at the coast.', 'I see.', 'what is near'].map((text) => sent.indexOf(text));
  assert.ok(said[0]! > 0 && said[0]! < said[1]! && said[1]! < said[2]!, sent);
  const sessions = await fetch(`${fleet.agent('asks').url}/api/sessions`);
  assert.doesNotMatch(await sessions.text(), /coast/, 'a session of one request is forgotten');

  const first = await openai.responses.create({ model: 'default', input: 'what is near' });
  await openai.responses.create({ model: 'default', input: 'what is near?', previous_response_id: first.id });
  assert.match(JSON.stringify(double.getLastRequest()?.body), /The sea is near\./);

  await tellsWhyItEnds(openai);

  const stream = await clientOf('slow').chat.completions.create({
    ...{ model: 'echo', stream: true },
    messages: [{ role: 'user', content: 'one two three '.repeat(100) }],
  });
  const chunks: unknown[] = [];
  await assert.rejects(async () => {
    for await (const chunk of stream) {
      chunks.push(chunk);
      if (chunks.length === 3) await fleet.killGroup();
    }
  });
  assert.ok(chunks.length >= 3);
});

test('after a kill an agent asks again what somebody can fetch: what has a key, or a session that is kept', async (t) => {
  const double = await startDouble();
  t.after(() => stopDouble(double));
  const asked: string[] = [];
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  for (const name of ['lost', 'keyed', 'named']) {
    double.onMessage(`answer ${name}`, async () => {
      asked.push(name);
      await held;
      return { content: `${name} is answered` };
    });
  }
  const yaml = () =>
    `model: { provider: openai, model_id: gpt-4.1, base_url: "${double.url}/v1", api_key: k }\n`;
  const fleet = await startFleet(t, { agents: ['asks'], yaml });
  const request = (name: string, over: { user?: string } = {}, key?: string) => {
    const openai = new OpenAI({ baseURL: `${fleet.agent('asks').url}/v1`, apiKey: 'none', maxRetries: 0 });
    const messages = [{ role: 'user', content: `answer ${name}` } as const];
    const headers = key === undefined ? {} : { 'Idempotency-Key': key };
    return openai.chat.completions.create({ model: 'default', messages, ...over }, { headers });
  };
  const cut = Promise.allSettled([
    request('lost'),
    request('keyed', {}, 'key-1'),
    request('named', { user: 'me' }),
  ]);
  await eventually(() => asked.length === 3, 'all of them are asked');
  await fleet.killGroup();
  const ends = await cut;
  assert.deepEqual(
    ends.map(({ status }) => status),
    ['rejected', 'rejected', 'rejected'],
  );

  asked.length = 0;
  release();
  await fleet.start();
  const { url, dir } = fleet.agent('asks');
  const answer = await request('keyed', {}, 'key-1');
  assert.equal(answer.choices[0]?.message.content, 'keyed is answered');
  await eventually(() => asked.includes('named'), 'that of the session is asked');
  assert.deepEqual(asked.sort(), ['keyed', 'named']);
  const logs = await (await fetch(`${url}/api/logs?event=journal.recovered`)).text();
  assert.match(logs, /"run":2,"interrupted":1/);
  assert.match(readFileSync(join(dir, 'logs/events.jsonl'), 'utf8'), /"turn\.interrupted"/);
  await fleet.stop();
});

test('images of OpenAI’s client are kept as uploads and shown to a model that sees, within limits', async (t) => {
  const double = await startDouble();
  t.after(() => stopDouble(double));
  double.onMessage('what is this', { content: 'A picture.' });
  const yaml = () =>
    [
      'model: { provider: groq, model_id: sees }',
      'providers:',
      `  groq: { api_key: k, base_url: "${double.url}/v1", models: [sees, { id: blind, vision: false }] }`,
      'limits: { upload_files: 2, completion_body_bytes: 3000000 }\n',
    ].join('\n');
  const fleet = await startFleet(t, { agents: ['sees'], yaml });
  const { url, dir } = fleet.agent('sees');
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
  // More than other JSON bodies may have.
  const bytes = randomBytes(1_200_000);
  const data = bytes.toString('base64');
  const image = (of = data) => ({
    ...{ type: 'image_url' as const, image_url: { url: `data:image/png;base64,${of}` } },
  });
  const ask = (images: readonly ReturnType<typeof image>[], model = 'default') =>
    openai.chat.completions.create({
      ...{ model },
      messages: [{ role: 'user', content: [{ type: 'text', text: 'what is this' }, ...images] }],
    });
  const sent = () => JSON.stringify(double.getLastRequest()?.body);
  const kept = () =>
    readdirSync(join(dir, 'uploads'), { recursive: true })
      .map(String)
      .filter((name) => name.endsWith('.png'));

  const answer = await ask([image()]);
  assert.equal(answer.choices[0]?.message.content, 'A picture.');
  // The double keeps no body of this size, but tells how large it was.
  const [, size] = /"originalByteSize":(\d+)/.exec(sent()) ?? [];
  assert.ok(Number(size) > data.length, sent());
  const [path = ''] = kept();
  assert.deepEqual(readFileSync(join(dir, 'uploads', path)), bytes);

  const input_image = { type: 'input_image' as const, detail: 'auto' as const };
  const response = await openai.responses.create({
    model: 'default',
    input: [
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'what is this' },
          { ...input_image, image_url: 'data:image/png;base64,c21hbGw=' },
        ],
      },
    ],
  });
  assert.equal(response.output_text, 'A picture.');
  assert.ok(sent().includes('c21hbGw='), sent());

  await ask([image('dW5zZWVu')], 'groq:blind');
  assert.ok(!sent().includes('dW5zZWVu'), 'it is not shown to a model that cannot see');
  assert.match(sent(), /image: image-1\.png.*cannot be shown images/);

  assert.equal(kept().length, 3);
  const refused = (code: string, status: number) => (error: unknown) =>
    error instanceof APIError && error.status === status && error.code === code;
  await assert.rejects(ask([image('YQ=='), image('YQ=='), image('YQ==')]), refused('upload.too_large', 413));
  await assert.rejects(ask([image(), image()]), refused('body.too_large', 413));
  assert.equal(kept().length, 3, 'what is refused leaves nothing');
  await fleet.stop();
});

/** By every wire that says so, whole and streamed; the double has no way to say `content_filter` on the two others. */
async function tellsWhyItEnds(openai: OpenAI): Promise<void> {
  const [groq, google] = ['groq:llama-3.3-70b-versatile', 'google:gemini-2.5-pro'];
  const cases = [
    ...[groq, google, 'anthropic:claude-sonnet-4-6', 'openai:gpt-4.1'].map(
      (model) => [model, 'be long'] as const,
    ),
    ...[groq, google].map((model) => [model, 'be rude'] as const),
  ];
  for (const [model, content] of cases) {
    const reason = content === 'be long' ? 'length' : 'content_filter';
    const messages = [{ role: 'user', content } as const];
    const whole = await openai.chat.completions.create({ model, messages });
    assert.equal(whole.choices[0]?.finish_reason, reason, model);
    const reasons: (string | null)[] = [];
    for await (const { choices } of await openai.chat.completions.create({ model, messages, stream: true })) {
      reasons.push(...choices.map(({ finish_reason }) => finish_reason));
    }
    assert.deepEqual(reasons.filter(Boolean), [reason], model);

    const response = await openai.responses.create({ model, input: content });
    const said = { reason: reason === 'length' ? 'max_output_tokens' : reason };
    assert.deepEqual([response.status, response.incomplete_details], ['incomplete', said], model);
    assert.equal(response.output_text, whole.choices[0]?.message.content);
    const types: string[] = [];
    for await (const event of await openai.responses.create({ model, input: content, stream: true })) {
      types.push(event.type);
      if (event.type === 'response.incomplete') assert.deepEqual(event.response.incomplete_details, said);
    }
    assert.equal(types.at(-1), 'response.incomplete', model);
  }
}
