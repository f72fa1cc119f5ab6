/** What is built of the SDK runs where it is meant to: one file for browsers, one for Node. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildSdk } from '../../scripts/build.mjs';

test('the bundle for browsers needs nothing of Node, zod is not in it, and it stays small', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'openagent-sdk-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  assert.deepEqual(await buildSdk(dir), [[], ['ws']]);
  const code = await readFile(join(dir, 'index.js'), 'utf8');
  assert.doesNotMatch(code, /ZodObject/);
  assert.ok(code.length < 150_000, `${code.length} characters`);
  const { createAgentClient } = await import(join(dir, 'index.js'));
  assert.equal(typeof createAgentClient, 'function');
});
