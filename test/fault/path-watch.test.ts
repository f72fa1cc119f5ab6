/** The watch under hot reload: one for a whole fleet, and enough of it left where the system has no watches to give. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type FSWatcher, watch } from 'chokidar';
import { systemClock } from '../../src/contract/clock.ts';
import { createPathWatch } from '../../src/supervisor/reload/path-watch.ts';

const DEADLINE_MS = 20_000;

function place(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'openagent-paths-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function open(t: TestContext, watchWith: typeof watch = watch) {
  const told: string[] = [];
  const shortages: string[] = [];
  const defects: unknown[] = [];
  let look = (): void => {};
  const paths = createPathWatch({
    ...{ clock: systemClock, quietMs: 10, lookMs: 20, watch: watchWith },
    onChange: (path) => {
      told.push(path);
      look();
    },
    onShortage: (code) => void shortages.push(code),
    onDefect: (error) => void defects.push(error),
  });
  t.after(() => paths.close());
  const until = (isTrue: () => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(JSON.stringify({ told, shortages, defects }))),
        DEADLINE_MS,
      );
      look = () => {
        if (!isTrue()) return;
        clearTimeout(timer);
        resolve();
      };
      look();
    });
  return { paths, told, shortages, defects, until };
}

/** As the kernel counts them: instances of this process, and files watched by each. */
function inotify(): { instances: number; watches: number } {
  const open = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:inotify';
    } catch {
      return false; // It was the one of this very listing.
    }
  });
  const lines = open.flatMap((fd) => readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').split('\n'));
  return { instances: open.length, watches: lines.filter((line) => line.startsWith('inotify ')).length };
}

const isLinux = process.platform === 'linux';

test('fifty agents are watched with one instance, and one watch for each file', {
  skip: !isLinux,
}, async (t) => {
  const before = inotify();
  const { paths, told, until } = open(t);
  const root = place(t);
  const files = Array.from({ length: 50 }, (_, index) => {
    const dir = join(root, `a${index}`);
    mkdirSync(dir);
    writeFileSync(join(dir, 'openagent.db'), '');
    writeFileSync(join(dir, 'openagent.yaml'), '');
    return join(dir, 'openagent.yaml');
  });
  for (const file of files) paths.add(file);
  await until(() => told.length >= 50);
  const after = inotify();
  assert.ok(after.instances <= before.instances + 1, `${after.instances} instances`);
  assert.equal(after.watches - before.watches, 50);
  assert.deepEqual([...told].sort(), [...files].sort());
  for (const file of files) paths.remove(file);
  assert.equal(inotify().watches, before.watches);
});

test('what a busy agent does in its directory is not even looked at', async (t) => {
  const dir = place(t);
  const seen: string[] = [];
  const spying: typeof watch = (...args) => {
    const watcher = watch(...args);
    watcher.on('raw', (_event, path) => void seen.push(path));
    return watcher;
  };
  const { paths, told, until } = open(t, spying);
  const file = join(dir, 'openagent.yaml');
  writeFileSync(file, 'one');
  paths.add(file);
  await until(() => told.length === 1);
  for (let round = 0; round < 20; round += 1) writeFileSync(join(dir, 'openagent.db'), String(round));
  writeFileSync(file, 'two');
  await until(() => told.length === 2);
  assert.deepEqual([...new Set(seen)], ['openagent.yaml']);
});

test('where the system gives no more watches changes are noticed all the same, and it is said once', async (t) => {
  const dir = place(t);
  const file = join(dir, 'openagent.yaml');
  const later = join(dir, 'later.yaml');
  writeFileSync(file, 'one');
  const { paths, told, shortages, defects, until } = open(t, () => {
    const watcher = Object.assign(new EventEmitter(), {
      add: () => void watcher.emit('error', Object.assign(new Error('no space'), { code: 'ENOSPC' })),
      unwatch: () => {},
      close: async () => {},
    });
    return watcher as unknown as FSWatcher;
  });
  paths.add(file);
  paths.add(later);
  await until(() => told.length === 2);
  writeFileSync(file, 'two');
  await until(() => told.filter((path) => path === file).length === 2);
  writeFileSync(later, 'here now');
  await until(() => told.filter((path) => path === later).length === 2);
  rmSync(file);
  await until(() => told.filter((path) => path === file).length === 3);
  assert.deepEqual([shortages, defects], [['ENOSPC'], []]);
});

test('a path that is no longer wanted is told of no more', async (t) => {
  const dir = place(t);
  const { paths, told, until } = open(t);
  const [kept, left] = [join(dir, 'kept'), join(dir, 'left')];
  for (const path of [kept, left]) writeFileSync(path, 'one');
  for (const path of [kept, left]) paths.add(path);
  await until(() => told.length === 2);
  paths.remove(left);
  writeFileSync(left, 'two');
  writeFileSync(kept, 'two');
  await until(() => told.length === 3);
  assert.deepEqual(told.slice(2), [kept]);
});

test('a path that two are interested in is watched until the second has left it', async (t) => {
  const dir = place(t);
  const { paths, told, until } = open(t);
  const file = join(dir, 'shared');
  writeFileSync(file, 'one');
  paths.add(file);
  paths.add(file);
  await until(() => told.length === 1);
  paths.remove(file);
  writeFileSync(file, 'two');
  await until(() => told.length === 2);
  const other = join(dir, 'other');
  writeFileSync(other, 'one');
  paths.remove(file);
  paths.add(other);
  writeFileSync(file, 'three');
  await until(() => told.length === 3);
  assert.deepEqual(told.slice(2), [other]);
});
