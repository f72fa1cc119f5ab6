import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/contract/clock.ts';
import { BUILT_IN_MCPS } from '../../src/contract/mcp-settings.ts';
import { DEFAULT_TOOLS } from '../../src/contract/tool-settings.ts';
import { createBuiltinTools } from '../../src/tools/builtin-tools.ts';
import type { ScheduleService } from '../../src/tools/schedule-tools.ts';
import type { NoteService } from '../../src/tools/vault-tools.ts';
import { readSource } from '../fixtures/source-tree.ts';

function sourcesOf(wanted: readonly string[], isShellEnabled: boolean) {
  return createBuiltinTools({
    wanted,
    settings: { ...DEFAULT_TOOLS, shell: { ...DEFAULT_TOOLS.shell, enabled: isShellEnabled } },
    ...{ dir: '/agents/alpha', dbPath: '/agents/alpha/openagent.db', version: '1', clock: systemClock },
    vault: {} as NoteService,
    schedule: {} as ScheduleService,
    spawn: () => assert.fail('nothing is started'),
  });
}

const tools = sourcesOf(BUILT_IN_MCPS, true).flatMap((source) => source.tools());

test('docs/tools.md has every tool that is built in, with its effect and its policy', () => {
  const rows = readSource('docs/tools.md')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')));
  assert.deepEqual(
    rows.map(([, name, effect, policy]) => ({ name, effect, policy })),
    tools.map(({ name, effect, defaultDecision }) => ({ name, effect, policy: defaultDecision ?? 'allow' })),
  );
});

test('names, descriptions and schemas are such as every provider takes', () => {
  for (const { name, description, inputSchema } of tools) {
    assert.match(name, /^[a-z0-9_]{1,64}$/);
    assert.ok(description.length > 10 && description.length < 400, name);
    assert.equal(inputSchema.type, 'object', name);
    assert.equal(inputSchema.additionalProperties, false, name);
    assert.ok(!('$schema' in inputSchema), name);
  }
  assert.equal(new Set(tools.map(({ name }) => name)).size, tools.length);
});

test('a source is there when it is wanted, and the shell only when it is enabled as well', () => {
  const names = (wanted: readonly string[], isShellEnabled = false) =>
    sourcesOf(wanted, isShellEnabled).map(({ name }) => name);
  assert.deepEqual(names(BUILT_IN_MCPS), ['vault', 'files', 'web', 'scheduler']);
  assert.deepEqual(names(BUILT_IN_MCPS, true), ['vault', 'files', 'web', 'shell', 'scheduler']);
  assert.deepEqual(names(['vault']), ['vault']);
  assert.deepEqual(names(['editor']), ['files']);
  assert.deepEqual(names([]), []);
});
