// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of openagent.yaml are what is tested
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './agent-directory.ts';

async function warningsOf(t: Parameters<typeof load>[0], yaml: string): Promise<string[]> {
  const { warnings, dir } = await load(t, yaml);
  assert.deepEqual(
    [...new Set(warnings.map(({ code }) => code))],
    warnings.length > 0 ? ['config.doubtful'] : [],
  );
  return warnings.map(({ message }) => message.replaceAll(`${dir}/`, ''));
}

test('an unknown key warns with its place and the key that was meant, and the agent loads', async (t) => {
  assert.deepEqual(await warningsOf(t, 'nmae: a\nchannels:\n  websocket:\n    allowedHosts: [x]\n'), [
    'openagent.yaml:1:1 nmae: unknown key, ignored; did you mean "name"?',
    'openagent.yaml:4:5 channels.websocket.allowedHosts: unknown key, ignored; ' +
      'did you mean "channels.websocket.allowed_hosts"?',
  ]);
});

test('a key in the wrong section is pointed to the right one', async (t) => {
  assert.deepEqual(await warningsOf(t, 'port: 8765\n'), [
    'openagent.yaml:1:1 port: unknown key, ignored; did you mean "channels.websocket.port"?',
  ]);
});

test('a key like nothing known gets no suggestion', async (t) => {
  assert.deepEqual(await warningsOf(t, 'limits:\n  quetzalcoatl: 1\n'), [
    'openagent.yaml:2:3 limits.quetzalcoatl: unknown key, ignored',
  ]);
});

test('a misspelt channel is not silently taken for a bridge', async (t) => {
  assert.deepEqual(await warningsOf(t, 'channels:\n  websockt: { token: abcd }\n  telegram2: {}\n'), [
    'openagent.yaml:2:3 channels.websockt: taken for a bridge of your own; did you mean "channels.websocket"?',
  ]);
});

test('a key given twice warns, and the last one counts as in the reference', async (t) => {
  const yaml = 'name: first\nname: second\n';
  assert.deepEqual(await warningsOf(t, yaml), [
    'openagent.yaml:2:1 name: this key is given twice; the last one counts',
  ]);
  assert.equal((await load(t, yaml)).settings.name, 'second');
});

test('what is almost a variable warns and stays as it is', async (t) => {
  const yaml = 'system_prompt: use ${HOME-x} and ${item.name}\n';
  assert.deepEqual(await warningsOf(t, yaml), [
    'openagent.yaml:1:20 system_prompt: "${HOME…" is not a variable and stays as it is; ' +
      'variables are ${NAME} or ${NAME:-default}',
  ]);
  assert.equal((await load(t, yaml)).settings.systemPrompt, 'use ${HOME-x} and ${item.name}');
});

test('legacy_rest is warned of, with and without a token', async (t) => {
  const open = await warningsOf(t, 'channels:\n  websocket: { legacy_rest: loopback, token: abcd }\n');
  assert.match(open[0] ?? '', /^openagent\.yaml:2:29 channels\.websocket\.legacy_rest: REST answers without/);
  const idle = await warningsOf(t, 'channels:\n  websocket: { legacy_rest: loopback }\n');
  assert.match(idle[0] ?? '', /has no effect without a token/);
  assert.deepEqual(await warningsOf(t, 'channels:\n  websocket: { legacy_rest: off }\n'), []);
});

test('free mappings take any key', async (t) => {
  const yaml = 'services: { a: 1 }\nproviders: { mine: { region: eu } }\nchannels: { mine: { x: 1 } }\n';
  assert.deepEqual(await warningsOf(t, yaml), []);
});
