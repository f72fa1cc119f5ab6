/** A section that is changed in a file which is refused for something else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import { openStore } from '../fixtures/config-store.ts';

test('what is wrong elsewhere in the file does not refuse a section; what it brings itself does', async (t) => {
  const source = `name: alpha
model: { provider: echo }
providers:
  openai: { api_key: "\${NOT_SET_ANYWHERE}" }
channels:
  websocket: { port: what }
`;
  const { store, agent, text: content, told } = openStore(t, { source });
  const { value, applied, restartRequired, warnings } = await store.patch(agent, 'name', 'beta', '');
  assert.deepEqual([value, applied, restartRequired, told], ['beta', 'next start', true, []]);
  assert.match(warnings.join(), /when the rest is mended: openagent\.yaml:4:\d+ .*NOT_SET_ANYWHERE/);
  assert.equal(content(), source.replace('alpha', 'beta'));
  const again = await store.patch(agent, 'name', 'beta', '');
  assert.deepEqual([again.changed, again.applied], [false, 'nothing']);

  for (const [section, value, code, problem] of [
    ['limits', { tool_steps: -1 }, 'config.invalid', /limits\.tool_steps: expected/],
    [
      'name',
      '\u0024{NOT_SET_HERE}',
      'config.variable_missing',
      /name: the environment variable NOT_SET_HERE/,
    ],
    ['model', { provider: 'nobody' }, 'config.invalid', /model\.provider: expected/],
  ] as const) {
    await assert.rejects(store.patch(agent, section, value, ''), (error: unknown) => {
      assert.ok(AppError.is(error) && error.code === code, String(error));
      return problem.test(error.message);
    });
  }
  // Part of what was wrong is mended, or nothing: neither is worse.
  await store.patch(agent, 'channels', { websocket: { port: 'what', allowed_origins: [] } }, '');
  await store.patch(agent, 'channels', { websocket: { port: 8800 } }, '');
  const last = await store.patch(agent, 'providers', {}, '');
  assert.deepEqual(last.warnings, []);
});
