import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SimulatedClock } from 'xstate';
import { type LogFileOptions, openLogFile } from '../../src/logging/log-file.ts';

test('a full disk is reported once, throws at nobody and holds no exit up', { skip: noDevFull() }, (t) => {
  const path = join(tempDir(t), 'log');
  symlinkSync('/dev/full', path);
  const { file, clock, problems } = startFile(t, path);
  file.append('a\n');
  file.flush();
  file.append('b\n');
  clock.increment(1_000);
  file.flush();
  assert.deepEqual(
    problems.map((problem) => (problem as NodeJS.ErrnoException).code),
    ['ENOSPC'],
  );
});

test('keeps what it could not write, whole and in order, until space returns', { skip: noMount() }, (t) => {
  const dir = tinyDisk(t);
  const { file, clock, problems } = startFile(t, join(dir, 'log'));
  writeFileSync(join(dir, 'hog'), Buffer.alloc(62_000));
  const expected: string[] = [];
  for (let n = 0; n < 3_000; n += 1) {
    const line = `line ${n} ${'x'.repeat(n % 40)}\n`;
    expected.push(line);
    file.append(line);
  }
  file.flush();
  assert.equal(problems.length, 1);
  truncateSync(join(dir, 'hog'), 0);
  execFileSync('mount', ['-o', 'remount,size=1m', dir]);
  clock.increment(1_000);
  assert.equal(readFileSync(join(dir, 'log'), 'utf8'), expected.join(''));
  assert.equal(problems.length, 1);
});

test('a line that the disk took half of is finished before the next rotation', { skip: noMount() }, (t) => {
  const dir = tinyDisk(t);
  const path = join(dir, 'log');
  const { file, clock, problems } = startFile(t, path, { rotateBytes: 20_000 });
  writeFileSync(join(dir, 'hog'), Buffer.alloc(48 * 1024));
  const lines = ['a', 'b', 'c'].map((letter) => `${letter.repeat(9_999)}\n`);
  for (const line of lines) {
    file.append(line);
    file.flush();
  }
  assert.equal(readFileSync(path).length, 16 * 1024, 'the disk is full in the middle of the second line');
  assert.equal(problems.length, 1);
  rmSync(join(dir, 'hog'));
  clock.increment(1_000);
  assert.equal(readFileSync(path, 'utf8'), lines.join(''));
  file.append(lines[0] ?? '');
  file.flush();
  assert.equal(readFileSync(path, 'utf8'), lines[0], 'rotated as soon as the line was whole');
});

test('bounds what waits, and says how many lines are missing and where', (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'sub', 'log');
  // A file where the directory should be.
  writeFileSync(join(dir, 'sub'), '');
  const { file, clock, problems } = startFile(t, path, { bufferBytes: 100 });
  for (let n = 0; n < 30; n += 1) file.append(`line-${String(n).padStart(2, '0')}..\n`);
  clock.increment(1_000);
  rmSync(join(dir, 'sub'));
  mkdirSync(join(dir, 'sub'));
  clock.increment(1_000);
  file.append('later\n');
  file.flush();
  const kept = Array.from({ length: 10 }, (_, n) => `line-0${n}..`);
  assert.deepEqual(readFileSync(path, 'utf8').split('\n'), [...kept, 'lost 20', 'later', '']);
  assert.equal(problems.length, 1);
});

test('a second failure after a recovery is reported again', (t) => {
  const dir = join(tempDir(t), 'sub');
  const { file, problems } = startFile(t, join(dir, 'log'));
  for (let round = 1; round <= 2; round += 1) {
    rmSync(dir, { recursive: true, force: true });
    writeFileSync(dir, '');
    file.append('x\n');
    file.flush();
    assert.equal(problems.length, round);
    rmSync(dir);
    file.flush();
    assert.equal(readFileSync(join(dir, 'log'), 'utf8'), 'x\n');
  }
});

test('a rotation that fails costs no line', (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'log');
  mkdirSync(join(`${path}.1`, 'in-the-way'), { recursive: true });
  const { file, problems } = startFile(t, path, { rotateBytes: 10, keepFiles: 1 });
  for (let n = 0; n < 5; n += 1) {
    file.append('12345678\n');
    file.flush();
  }
  assert.equal(readFileSync(path, 'utf8'), '12345678\n'.repeat(5));
  assert.equal(problems.length, 1);
});

test('goes on in the new file when somebody else has renamed or emptied the old one', (t) => {
  const path = join(tempDir(t), 'log');
  const { file } = startFile(t, path);
  file.append('a\n');
  file.flush();
  truncateSync(path, 0);
  file.append('b\n');
  file.flush();
  assert.equal(readFileSync(path, 'utf8'), 'b\n');
  rmSync(path);
  writeFileSync(path, '');
  file.append('c\n');
  file.flush();
  assert.equal(readFileSync(path, 'utf8'), 'c\n');
});

function startFile(t: TestContext, path: string, overrides: Partial<LogFileOptions> = {}) {
  const simulated = new SimulatedClock();
  const problems: unknown[] = [];
  const file = openLogFile({
    path,
    rotateBytes: 1_000_000,
    keepFiles: 1,
    clock: {
      monotonicMs: () => simulated.now(),
      wallMs: () => simulated.now(),
      setTimeout: (callback, delayMs) => simulated.setTimeout(callback, delayMs),
      clearTimeout: (timer) => {
        if (timer !== undefined) simulated.clearTimeout(timer as number);
      },
    },
    onProblem: (error) => problems.push(error),
    lostLine: (count) => `lost ${count}\n`,
    ...overrides,
  });
  t.after(() => file.close());
  return { file, clock: simulated, problems };
}

/** 64 KiB of its own, so that no other program is hurt when it is full. */
function tinyDisk(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'log-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir]);
  t.after(() => {
    execFileSync('umount', ['-l', dir]);
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

function noMount(): string | false {
  const dir = mkdtempSync(join(tmpdir(), 'log-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir], { stdio: 'ignore' });
    execFileSync('umount', [dir], { stdio: 'ignore' });
    return false;
  } catch {
    return 'needs the right to mount a tmpfs';
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function noDevFull(): string | false {
  return process.platform === 'linux' ? false : 'needs /dev/full';
}

function tempDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'log-file-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
