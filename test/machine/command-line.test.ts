import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCommandLine } from '../../src/supervisor/command-line.ts';

const WRONG: readonly (readonly [args: readonly string[], said: RegExp])[] = [
  [[], /no agent directory given[\s\S]*openagent-supervisor agents\/\*/],
  [['run'], /no agent directory given/],
  [['--port', '99999', 'a'], /--port <number>.*99999.*from 0 to 65535/],
  [['--port', '-1', 'a'], /--port <number>.*from 0 to 65535/],
  [['--port', '80a', 'a'], /--port <number>.*80a.*from 0 to 65535/],
  [['--port', '', 'a'], /--port <number>.*from 0 to 65535/],
  [['--transport', 'tcp', 'a'], /--transport <kind>.*tcp.*auto, uws, node/],
  [['--isolation', 'vm', 'a'], /--isolation <kind>.*vm.*thread, process/],
  [['--log-level', 'loud', 'a'], /--log-level <level>.*loud.*debug, info, warn, error/],
  [['--host', 'http://x', 'a'], /--host <address>.*host name or an IP address/],
  [['--token', 'x y', 'a'], /--token <token>.*without spaces/],
  [['--tokenfile', 'x', 'a'], /unknown option '--tokenfile'[\s\S]*--token-file/],
  [['--token', 'x', '--token-file', 'y', 'a'], /'--token-file <file>' cannot be used with option '--token/],
  [['init'], /missing required argument 'dir'/],
  [['init', '--port', '1', 'a'], /unknown option '--port'/],
];
for (const [args, said] of WRONG) {
  test(`"${args.join(' ')}" is refused with what is expected`, () => {
    const parsed = parseCommandLine(args, '1.2.3');
    assert.ok(parsed.kind === 'print');
    assert.equal(parsed.exitCode, 2);
    assert.match(parsed.stderr, said);
    assert.equal(parsed.stdout, '');
  });
}

test('options and directories are told apart, in any order, with or without `run`', () => {
  const options = {
    host: '::1',
    port: 0,
    transport: 'node',
    isolation: 'process',
    logLevel: 'debug',
    json: true,
    watchdog: true,
  };
  const words = '--host ::1 --port 0 a --transport node --isolation=process --log-level debug b --json'.split(
    ' ',
  );
  const expected = { kind: 'run', dirs: ['a', 'b'], options };
  assert.deepEqual(parseCommandLine(words, '1.2.3'), expected);
  assert.deepEqual(parseCommandLine(['run', ...words], '1.2.3'), expected);
});

test('a directory may be called init, and may begin with a dash', () => {
  const dirsOf = (args: readonly string[]): unknown => {
    const parsed = parseCommandLine(args, '1.2.3');
    return parsed.kind === 'print' ? parsed.stderr : [parsed.kind, parsed.dirs];
  };
  assert.deepEqual(dirsOf(['./init']), ['run', ['./init']]);
  assert.deepEqual(dirsOf(['--', '-x', 'a']), ['run', ['-x', 'a']]);
  assert.deepEqual(dirsOf(['init', 'a', 'b']), ['init', ['a', 'b']]);
});

test('--help and --version print to stdout and are no failure', () => {
  for (const word of ['--help', '-h', '--version', '-V']) {
    const parsed = parseCommandLine([word], '1.2.3');
    assert.ok(parsed.kind === 'print');
    assert.deepEqual([parsed.exitCode, parsed.stderr], [0, '']);
    assert.match(
      parsed.stdout,
      word.toLowerCase().includes('v') ? /^1\.2\.3\n$/ : /^Usage: openagent-supervisor/,
    );
  }
});
