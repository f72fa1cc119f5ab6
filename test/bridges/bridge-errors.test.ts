import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startFixture } from './bridge-fixture.ts';

const BAD_SYNTAX = 'export default class {\n  async run() {\n    const = 5;\n  }\n}\n';
const GOOD = 'async run(signal) { await new Promise((r) => signal.addEventListener("abort", r)); }';

const MISTAKES: Record<string, { file: string; text: string; message: (path: string) => RegExp }> = {
  'bad syntax in JavaScript': {
    file: 'one.mjs',
    text: BAD_SYNTAX,
    message: (path) => new RegExp(`^${path}:3:11: Expected identifier`),
  },
  'bad syntax in TypeScript': {
    file: 'one.ts',
    text: BAD_SYNTAX,
    message: (path) => new RegExp(`^${path}:3:11: Expected identifier`),
  },
  'a default export that is no class': {
    file: 'one.mjs',
    text: 'export default { run() {} };',
    message: (path) => new RegExp(`^${path}: its default export must be a class with run`),
  },
  'no default export': {
    file: 'one.mjs',
    text: 'export class One {}',
    message: (path) => new RegExp(`^${path}: its default export must be a class with run`),
  },
  'a class without run': {
    file: 'one.mjs',
    text: 'export default class {}',
    message: (path) => new RegExp(`^${path}: its default export must be a class with run`),
  },
  'an arrow function': {
    file: 'one.mjs',
    text: 'export default () => {};',
    message: (path) => new RegExp(`^${path}: its constructor threw: .*not a constructor`),
  },
  'a constructor that throws': {
    file: 'one.mjs',
    text: "export default class {\n  constructor() {\n    throw new Error('no room');\n  }\n  run() {}\n}",
    message: (path) => new RegExp(`^${path}:3: its constructor threw: no room$`),
  },
  'a module that throws while it loads': {
    file: 'one.mjs',
    text: "\n\nthrow new Error('not today');",
    message: (path) => new RegExp(`^${path}:3: not today$`),
  },
  'a TypeScript module that throws while it loads': {
    file: 'one.ts',
    text: "type A = string;\n\nconst word: A = 'not today';\nthrow new Error(word);",
    message: (path) => new RegExp(`^${path}:4: not today$`),
  },
  'a package that is not installed': {
    file: 'one.mjs',
    text: "import 'no-such-package-here';",
    message: (path) =>
      new RegExp(`^${path}: cannot find the package 'no-such-package-here'; install it with`),
  },
  'a TypeScript import that does not exist': {
    file: 'one.ts',
    text: "import { x } from './gone.ts';\nexport default x;",
    message: (path) => new RegExp(`^${path}:1:19: Could not resolve`),
  },
};

for (const [mistake, { file, text, message }] of Object.entries(MISTAKES)) {
  test(`says what is wrong and where: ${mistake}`, async (t) => {
    const { dir, entry, warnings } = startFixture(t, {
      texts: { [file]: text },
      bridges: [{ name: 'one', config: {} }],
    });
    const [, fields] = await entry('bridge.error');
    assert.equal(fields.code, 'bridge.invalid');
    const [warning] = warnings;
    assert.equal(warning?.code, 'bridge.invalid');
    assert.match(warning?.message ?? '', message(join(dir, file).replaceAll('.', '\\.')));
    assert.equal(fields.error, warning?.message);
  });
}

test('the same mistake is told once, another one again', async (t) => {
  const { clock, dir, entry, runner, warnings } = startFixture(t, {
    texts: { 'one.mjs': 'export default 5;' },
    bridges: [{ name: 'one', config: {} }],
    random: 0.5,
  });
  await entry('bridge.error');
  clock.increment(125);
  await untilState(() => runner.states()[0]?.state === 'invalid');
  assert.equal(warnings.length, 1);
  writeFileSync(join(dir, 'one.mjs'), "throw new Error('something else');");
  clock.increment(250);
  await entry('bridge.error');
  assert.equal(warnings.length, 2);
});

test('a channel without a module is a warning that says where it was looked for', async (t) => {
  const { dir, entry, warnings } = startFixture(t, {
    bridges: [
      { name: 'telegram', config: { token: 'x' } },
      { name: 'pigeon', config: {} },
    ],
  });
  await entry('bridge.error');
  await entry('bridge.error');
  assert.deepEqual(warnings.map(({ message }) => message).sort(), [
    `channels.pigeon: no bridge module of that name in ${dir}; write pigeon.js, .mjs or .ts there, or remove the key`,
    `channels.telegram: no bridge module of that name in ${dir}; built-in platforms are not part of this version`,
  ]);
});

test('two files of one name are refused, not guessed', async (t) => {
  const { entry, warnings } = startFixture(t, {
    texts: { 'one.mjs': `export default class { ${GOOD} }`, 'one.ts': 'export default class {}' },
    bridges: [{ name: 'one', config: {} }],
  });
  await entry('bridge.error');
  assert.match(warnings[0]?.message ?? '', /both one\.mjs and one\.ts stand in/);
});

test('an error in a TypeScript bridge names the line its author wrote', async (t) => {
  const { dir, entry } = startFixture(t, {
    files: { 'typed.ts': 'typed.ts', 'lib/greeting.ts': 'lib/greeting.ts' },
    bridges: [{ name: 'typed', config: { fail: true } }],
  });
  const [, fields] = await entry('bridge.error');
  const line =
    readFileSync(join(dir, 'typed.ts'), 'utf8')
      .split('\n')
      .findIndex((text) => text.includes('throw')) + 1;
  assert.ok(String(fields.stack).includes(`${join(dir, 'typed.ts')}:${line}:`), String(fields.stack));
});

test('a TypeScript bridge is built once, and again when a file of it changes', async (t) => {
  const agentDir = mkdtempSync(join(tmpdir(), 'bridges-cache-'));
  t.after(() => rmSync(agentDir, { recursive: true, force: true }));
  const run = (test: TestContext, texts: Record<string, string>) => runOnce(test, agentDir, texts);
  const texts = {
    'one.ts': `import { word } from './lib/word.ts';\nexport default class { name = word as string; ${GOOD.replace('signal', 'signal: AbortSignal')} }`,
    'lib/word.ts': "export const word: string = 'one';",
  };
  await t.test('first', (test) => run(test, texts));
  const [first] = cached(agentDir);
  await t.test('unchanged', (test) => run(test, texts));
  assert.deepEqual(cached(agentDir), [first]);
  await t.test('neighbour changed', (test) =>
    run(test, { ...texts, 'lib/word.ts': "export const word = 'uno';" }),
  );
  const [second, ...none] = cached(agentDir);
  assert.equal(none.length, 0);
  assert.notDeepEqual(second, first);
  await t.test('itself changed', (test) => run(test, { ...texts, 'one.ts': `${texts['one.ts']}\n` }));
  const third = cached(agentDir);
  assert.equal(third.length, 1, 'the older version is gone');
  assert.notEqual(third[0]?.name, second?.name);
});

async function runOnce(t: TestContext, agentDir: string, texts: Record<string, string>): Promise<void> {
  const { entry, runner } = startFixture(t, { agentDir, texts, bridges: [{ name: 'one', config: {} }] });
  await entry('bridge.start');
  await runner.stop(1_000);
}

function cached(agentDir: string) {
  const dir = join(agentDir, '.cache', 'bridges');
  return readdirSync(dir).map((name) => {
    const { ino, mtimeNs, mode } = statSync(join(dir, name), { bigint: true });
    assert.equal(mode & 0o777n, 0o600n);
    return { name, ino, mtimeNs };
  });
}

/** Loading ends without a line of log when there is no news in it. */
async function untilState(isThere: () => boolean): Promise<void> {
  const deadline = AbortSignal.timeout(15_000);
  while (!isThere()) {
    deadline.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
