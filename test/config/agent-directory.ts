/** A directory with the given `openagent.yaml`, and the loading of it, for the tests of this folder. */
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import { loadAgent } from '../../src/supervisor/config/load-agent.ts';
import type { LoadOptions } from '../../src/supervisor/config/resolve-config.ts';

export async function makeTempDir(t: TestContext): Promise<string> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'openagent-config-')));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

export async function makeAgent(t: TestContext, yaml: string, name = 'someone'): Promise<string> {
  const dir = join(await makeTempDir(t), name);
  await mkdir(dir);
  await writeFile(join(dir, 'openagent.yaml'), yaml);
  return dir;
}

export async function load(t: TestContext, yaml: string, options: Partial<LoadOptions> = {}) {
  const dir = await makeAgent(t, yaml);
  const loaded = await loadAgent(dir, { env: {}, homeDir: '/home/somebody', overrides: {}, ...options });
  return { dir, ...loaded, ...loaded.prepared };
}

/** The AppError loading ends with, its messages without the directory. */
export async function failToLoad(t: TestContext, yaml: string, options: Partial<LoadOptions> = {}) {
  const dir = await makeAgent(t, yaml);
  const full = { env: {}, homeDir: '/home/somebody', overrides: {}, ...options };
  const error: unknown = await loadAgent(dir, full).then(
    () => new Error('it was loaded'),
    (reason: unknown) => reason,
  );
  if (!AppError.is(error)) throw error;
  return { code: error.code, message: error.message.replaceAll(`${dir}/`, ''), details: error.details, dir };
}
