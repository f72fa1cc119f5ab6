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
  [['validate'], /missing required argument 'url'/],
  [['validate', 'ftp://x'], /'ftp:\/\/x'.*address of a gateway/],
  [['validate', 'http://x/api/health'], /address of a gateway/],
  [['validate', 'http://me:secret@x'], /without credentials/],
  [['validate', 'x', '--timeout', '0'], /--timeout <seconds>.*above 0/],
  [['validate', 'x', '--only', 'vault,voult'], /--only <parts>.*http, access, .*restart/],
  [['validate', 'x', '--token', 'y', '--token-file', 'z'], /cannot be used with option/],
  [['validate', 'x', '--transport', 'uws'], /unknown option '--transport'/],
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
    return 'dirs' in parsed ? [parsed.kind, parsed.dirs] : parsed;
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

test('validate takes an address in any of its spellings, and its own options', () => {
  const parsed = (args: readonly string[]): unknown => {
    const result = parseCommandLine(['validate', ...args], '1.2.3');
    return result.kind === 'validate' ? [result.url.href, result.options] : result;
  };
  const usual = { all: false, json: false, messages: true, timeoutSeconds: 10 };
  const url = 'http://127.0.0.1:8765/';
  for (const spelling of ['127.0.0.1:8765', 'http://127.0.0.1:8765', 'ws://127.0.0.1:8765/ws']) {
    assert.deepEqual(parsed([spelling]), [url, usual]);
  }
  assert.deepEqual(parsed(['wss://x/ws', '--no-messages']), ['https://x/', { ...usual, messages: false }]);
  const words = '--all --json --timeout 2.5 --only vault,frames --token t 127.0.0.1:8765'.split(' ');
  const given = { all: true, json: true, messages: true, timeoutSeconds: 2.5, token: 't' };
  assert.deepEqual(parsed(words), [url, { ...given, only: ['vault', 'frames'] }]);
});
