import assert from 'node:assert/strict';
import { chmodSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import { CANARIES, openStore, SOURCE } from '../fixtures/config-store.ts';

type Json = Record<string, unknown>;

const failsWith = (code: string, text: RegExp) => (error: unknown) => {
  assert.ok(AppError.is(error), String((error as Error).stack));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, text);
  return true;
};

function assertNoSecret(value: unknown): void {
  const shown = JSON.stringify(value);
  for (const canary of CANARIES) assert.equal(shown.includes(canary), false, `${canary} in ${shown}`);
}

test('what is read has the file’s values, variables as they stand, and no secret', async (t) => {
  const { store, agent } = openStore(t);
  const { value } = await store.read(agent);
  assertNoSecret(value);
  assert.deepEqual(value, {
    name: 'alpha',
    model: { provider: 'anthropic', model_id: 'claude-x', api_key: '****cdef' },
    providers: {
      openai: { api_key: '****WXYZ', base_url: 'https://****@llm.example/v1' },
      groq: { api_key: '${GROQ_KEY}' },
    },
    mcp: [
      {
        name: 'files',
        command: ['node', 'files.js', '--token', '****6789'],
        env: { PLAIN: '****6789', SHORT: '****' },
      },
      {
        name: 'web',
        url: 'https://mcp.example/?api_key=****',
        headers: { Authorization: '****6789', 'X-From': '${FROM}' },
      },
    ],
    channels: {
      websocket: { port: 8800, token: '****6789' },
      telegram: { token: '****cret', allowed_users: ['12345678901234567890'] },
    },
  });
});

test('a file that is not there is an empty configuration, and the first write makes it for its owner only', async (t) => {
  const { store, agent, path, text } = openStore(t, { source: null });
  assert.deepEqual((await store.read(agent)).value, {});
  await store.patch(agent, 'name', 'born', '');
  assert.equal(text(), 'name: born\n');
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('what was read, written back as a whole or by section, changes no byte and keeps no version', async (t) => {
  const { store, agent, text, files } = openStore(t);
  const { value, etag } = await store.read(agent);
  const whole = await store.replace(agent, value, etag);
  assert.deepEqual([whole.changed, whole.etag], [false, etag]);
  for (const [section, own] of Object.entries(value as Json)) {
    const { value: echo, changed } = await store.patch(agent, section, own, `"${etag}"`);
    assert.deepEqual([echo, changed], [own, false]);
  }
  assert.equal(text(), SOURCE);
  assert.deepEqual(files(), ['openagent.yaml']);
});

test('a section that was changed keeps its secrets and the file its comments and other bytes', async (t) => {
  const { store, agent, text } = openStore(t);
  const { value } = await store.read(agent);
  const { providers } = value as { providers: Record<string, Json> };
  const change = await store.patch(
    agent,
    'providers',
    { ...providers, openai: { ...providers.openai, base_url: 'https://elsewhere.example' } },
    '',
  );
  assertNoSecret(change);
  const [before = '', after = ''] = SOURCE.split(/ {2}openai:.*\n/);
  assert.ok(text().startsWith(before), text());
  assert.ok(text().endsWith(after), text());
  assert.match(text(), /openai: .*"sk-openai-0123456789WXYZ".*https:\/\/elsewhere\.example/);
});

test('a new secret is stored, and its echo is masked', async (t) => {
  const { store, agent, text } = openStore(t);
  const { value } = await store.patch(
    agent,
    'model',
    { provider: 'openai', api_key: 'sk-new-0123456789-9999' },
    '',
  );
  assert.deepEqual(value, { provider: 'openai', api_key: '****9999' });
  assert.match(text(), /api_key: sk-new-0123456789-9999\n/);
});

test('items of a list keep their secrets by name, wherever they are moved', async (t) => {
  const { store, agent, text } = openStore(t);
  const { mcp } = (await store.read(agent)).value as { mcp: Json[] };
  const { value } = await store.patch(
    agent,
    'mcp',
    [{ name: 'new', url: 'https://x.example' }, mcp[1], mcp[0]],
    '',
  );
  assert.deepEqual((value as Json[]).slice(1), [mcp[1], mcp[0]]);
  for (const secret of ['header-secret-0123456789', 'visible-0123456789', 'abc', 'arg-secret-0123456789']) {
    assert.ok(text().includes(secret), secret);
  }
});

for (const [what, section, value, path] of [
  ['of another place', 'providers', { other: { api_key: '****WXYZ' } }, 'providers.other.api_key'],
  ['of another secret', 'providers', { openai: { api_key: '****0000' } }, 'providers.openai.api_key'],
  ['without any secret', 'dream_mode', { password: '****' }, 'dream_mode.password'],
  ['in a URL', 'model', { base_url: 'https://****@evil.example' }, 'model.base_url'],
  ['of an item with another name', 'mcp', [{ name: 'x', env: { SHORT: '****' } }], 'mcp.0.env.SHORT'],
] as const) {
  test(`a mask ${what} is refused with its path, and nothing is changed`, async (t) => {
    const { store, agent, text, files } = openStore(t);
    await assert.rejects(store.patch(agent, section, value, ''), (error: unknown) => {
      failsWith('config.invalid', new RegExp(`${path.replaceAll('.', '\\.')}: a mask`))(error);
      assert.deepEqual((error as AppError).details, [
        {
          file: 'openagent.yaml',
          key: path,
          expected: 'the secret itself, or the mask of the one that is stored here',
        },
      ]);
      return true;
    });
    assert.equal(text(), SOURCE);
    assert.deepEqual(files(), ['openagent.yaml']);
  });
}

for (const [what, section, value, code, text] of [
  [
    'a wrong value',
    'channels',
    { websocket: { port: 'x' } },
    'config.invalid',
    /yaml:\d+:\d+ channels\.websocket\.port: expected a number/,
  ],
  [
    'an address that is open to all without a token',
    'channels',
    { websocket: { host: '0.0.0.0' } },
    'bind.public_without_token',
    /yaml:\d+/,
  ],
  [
    'a variable that is not set',
    'name',
    '${NOT_SET_ANYWHERE}',
    'config.variable_missing',
    /yaml:\d+:\d+ name: the environment variable NOT_SET/,
  ],
  [
    'a key that would be a prototype',
    'model',
    JSON.parse('{"__proto__": {"a": 1}}'),
    'config.invalid',
    /model\.__proto__: cannot be a key/,
  ],
  ['a section that would be one', '__proto__', {}, 'config.invalid', /__proto__: cannot be a key/],
  ['a key that would merge', 'model', { '<<': { a: 1 } }, 'config.invalid', /cannot be a key/],
  ['half a character', 'name', 'a\ud800b', 'config.invalid', /name: is no well-formed Unicode/],
  [
    'a number that JSON cannot hold',
    'channels',
    { telegram: { allowed_users: [1e20] } },
    'config.invalid',
    /allowed_users\.0: is larger than/,
  ],
  ['more than fits', 'system_prompt', 'x'.repeat(200_000), 'body.too_large', /128 KiB/],
] as const) {
  test(`${what} is refused, and nothing is changed`, async (t) => {
    const { store, agent, text: content, files } = openStore(t);
    await assert.rejects(store.patch(agent, section, value, ''), failsWith(code, text));
    assert.equal(content(), SOURCE);
    assert.deepEqual(files(), ['openagent.yaml']);
    assert.equal(({} as Json).a, undefined);
  });
}

test('what is refused says nothing of a secret', async (t) => {
  const { store, agent } = openStore(t);
  for (const [section, value] of [
    ['mcp', [{ name: 'x', env: 'visible-0123456789' }]],
    ['channels', { websocket: { allowed_origins: ['https://u:hunter2-url@x.example/path'] } }],
    ['channels', { websocket: { token: { deep: 'websocket-secret-0123456789' } } }],
    ['model', { provider: 'https://u:hunter2-url@x' }],
  ] as const) {
    await assert.rejects(store.patch(agent, section, value, ''), (error: unknown) => {
      assert.equal((error as AppError).code, 'config.invalid');
      assertNoSecret([(error as AppError).message, (error as AppError).details]);
      return true;
    });
  }
});

test('any JSON value replaces a section; unknown sections are made, with a warning', async (t) => {
  const { store, agent } = openStore(t);
  const unknown = await store.patch(agent, 'my_notes', [1, { deep: 'x' }], '');
  assert.deepEqual(unknown.value, [1, { deep: 'x' }]);
  assert.equal(unknown.warnings.length, 1);
  assert.match(unknown.warnings[0] ?? '', /my_notes: unknown key/);
  const nothing = await store.patch(agent, 'name', null, '');
  assert.deepEqual([nothing.value, nothing.warnings], [null, []]);
  assert.equal(((await store.read(agent)).value as Json).name, null);
});

test('a document that is no mapping is shown, can be replaced, and not patched', async (t) => {
  const { store, agent } = openStore(t, { source: '- a\n- b\n' });
  assert.deepEqual((await store.read(agent)).value, ['a', 'b']);
  await assert.rejects(
    store.patch(agent, 'name', 'x', ''),
    failsWith('config.invalid', /expected a mapping/),
  );
  await assert.rejects(store.replace(agent, ['c'], ''), failsWith('config.invalid', /expected a mapping/));
  await store.replace(agent, { name: 'mended' }, '');
  assert.deepEqual((await store.read(agent)).value, { name: 'mended' });
});

test('a file that is no YAML is told with its line, and can be replaced as a whole', async (t) => {
  const { store, agent, text } = openStore(t, { source: 'name: a\nbad: [\n' });
  await assert.rejects(
    store.read(agent),
    failsWith('config.invalid', /openagent\.yaml:\d+:\d+ not valid YAML/),
  );
  await assert.rejects(store.patch(agent, 'name', 'x', ''), failsWith('config.invalid', /yaml:\d+:\d+ not/));
  await store.replace(agent, { name: 'mended' }, '');
  assert.equal(text(), 'name: mended\n');
});

test('aliases that grow without bound are refused', async (t) => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
    .split('')
    .map((name, index) => `${name}: &${name} [${`*${'abcdefg'[index]},`.repeat(9)}]`)
    .join('\n')}\n`;
  const { store, agent } = openStore(t, { source: bomb });
  await assert.rejects(store.read(agent), failsWith('config.invalid', /alias/));
});

test('anchors and merges stay where an edit allows it, and are written out where it would tear them', async (t) => {
  const source = `base: &base {a: 1, b: 2} # shared\nfirst:\n  <<: *base\n  c: 3\nsecond: *base # the same\n`;
  const { store, agent, text } = openStore(t, { source });
  await store.patch(agent, 'first', { a: 1, b: 2, c: 4 }, '');
  assert.equal(text(), source.replace('c: 3', 'c: 4'));
  await store.patch(agent, 'base', { a: 9, b: 2 }, '');
  assert.deepEqual((await store.read(agent)).value, {
    base: { a: 9, b: 2 },
    first: { a: 1, b: 2, c: 4 },
    second: { a: 1, b: 2 },
  });
  assert.match(text(), /# shared/);
  assert.match(text(), /# the same/);
});

test('what is merged elsewhere may become anything', async (t) => {
  const source = 'base: &base {a: 1, b: 2}\nfirst:\n  <<: *base\n  c: 3\n';
  for (const value of [null, 7, 'text', ['x']]) {
    const { store, agent } = openStore(t, { source });
    await store.patch(agent, 'base', value, '');
    const first = { a: 1, b: 2, c: 3 };
    assert.deepEqual((await store.read(agent)).value, { base: value, first });
  }
});

test('a version that is not the present one is a conflict that names the present one', async (t) => {
  const { store, agent, text } = openStore(t);
  const { etag } = await store.read(agent);
  const ends = await Promise.allSettled([
    store.patch(agent, 'name', 'first', `"${etag}"`),
    store.patch(agent, 'name', 'second', `"${etag}"`),
  ]);
  assert.deepEqual(
    ends.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  );
  const { reason } = ends[1] as PromiseRejectedResult;
  failsWith('config.conflict', /If-Match/)(reason);
  assert.deepEqual((reason as AppError).details, { etag: (await store.read(agent)).etag });
  assert.match(text(), /^name: first # shown/m);
});

test('weak point 30: writes without a version come one after the other, and none is lost', async (t) => {
  const { store, agent } = openStore(t, { source: '# mine\n' });
  await Promise.all(Array.from({ length: 12 }, (_, index) => store.patch(agent, `own_${index}`, index, '')));
  const { value } = await store.read(agent);
  assert.deepEqual(
    value,
    Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`own_${index}`, index])),
  );
});

test('a change by an editor in the middle of a write is kept, or refused where a version was named', async (t) => {
  for (const named of [false, true]) {
    let edits = 0;
    const opened = openStore(t, { source: 'name: a\n' });
    const { agent, path, prepare } = opened;
    const { createConfigStore } = await import('../../src/supervisor/config-store/config-store.ts');
    const store = createConfigStore({
      clock: { ...opened.clock, wallMs: () => 1_700_000_000_000 },
      prepare: (...given) => {
        edits += 1;
        if (edits === 1) writeFileSync(path, 'name: a\nsystem_prompt: by hand\n');
        return prepare(...given);
      },
      apply: opened.applier.apply,
    });
    const { etag } = await store.read(agent);
    const write = store.patch(agent, 'name', 'b', named ? `"${etag}"` : '');
    if (named) await assert.rejects(write, failsWith('config.conflict', /somebody else/));
    else await write;
    assert.equal(opened.text(), `name: ${named ? 'a' : 'b'}\nsystem_prompt: by hand\n`);
  }
});

test('the last versions are kept for their owner, listed, shown masked, and restored byte for byte', async (t) => {
  const { store, agent, dir, text } = openStore(t, { source: `${SOURCE}supervisor: {config_versions: 3}\n` });
  const first = text();
  for (const name of ['b', 'c', 'd']) await store.patch(agent, 'name', name, '');
  const versions = await store.versions(agent);
  assert.equal(versions.length, 3);
  const [oldest] = versions.slice(-1);
  assert.equal(statSync(join(dir, '.config-versions')).mode & 0o777, 0o700);
  assert.equal(statSync(join(dir, '.config-versions', `${oldest?.id}.yaml`)).mode & 0o777, 0o600);
  const shown = await store.version(agent, oldest?.id ?? '');
  assertNoSecret(shown);
  assert.equal((shown.value as Json).name, 'alpha');
  await store.restore(agent, oldest?.id ?? '', '');
  assert.equal(text(), first);
  assert.equal((await store.versions(agent)).length, 3);
  for (const id of ['../openagent', '0000000000000-00000000', '', 'x'.repeat(5_000)]) {
    await assert.rejects(store.version(agent, id), failsWith('config.version_unknown', /No version/));
  }
});

test('the mode of the file stays, a link inside of the directory is followed, one that leads out is not', async (t) => {
  const { store, agent, dir, path } = openStore(t);
  chmodSync(path, 0o640);
  renameSync(path, join(dir, 'real.yaml'));
  symlinkSync('real.yaml', path);
  await store.patch(agent, 'name', 'linked', '');
  assert.match(readFileSync(join(dir, 'real.yaml'), 'utf8'), /name: linked/);
  assert.equal(statSync(join(dir, 'real.yaml')).mode & 0o777, 0o640);
  renameSync(join(dir, 'real.yaml'), join(dir, '..', 'outside.yaml'));
  renameSync(path, join(dir, 'old-link'));
  symlinkSync('../outside.yaml', path);
  await assert.rejects(store.patch(agent, 'name', 'out', ''), failsWith('config.linked', /outside\.yaml/));
  assert.match(readFileSync(join(dir, '..', 'outside.yaml'), 'utf8'), /name: linked/);
});

test('the level of the log is applied at once, a model by a restart soon after, the rest by the next start', async (t) => {
  const { store, agent, clock, told } = openStore(t);
  const facts = async (section: string, value: unknown) => {
    const { applied, restartRequired } = await store.patch(agent, section, value, '');
    return [applied, restartRequired];
  };
  assert.deepEqual(await facts('logging', { level: 'debug' }), ['live', false]);
  assert.deepEqual(told.splice(0), ['alpha {"type":"log.level","level":"debug"}']);
  assert.deepEqual(await facts('logging', { level: 'debug', keep_files: 9 }), ['next start', true]);
  assert.deepEqual(await facts('name', 'x'), ['next start', true]);
  const { providers } = (await store.read(agent)).value as Json;
  assert.deepEqual(await facts('providers', providers), ['nothing', false]);
  assert.deepEqual(await facts('model', { provider: 'echo', delay_ms: 1 }), ['restart', false]);
  assert.deepEqual(await facts('model', { provider: 'echo', delay_ms: 2 }), ['restart', false]);
  assert.deepEqual(told, []);
  clock.advance(10_000);
  assert.deepEqual(told, ['alpha restart']);
});
