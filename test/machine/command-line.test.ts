import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMANDS } from '../../bin/commands.mjs';
import { parseCommandLine } from '../../src/supervisor/command-line/command-line.ts';
import { meantCommand } from '../../src/supervisor/command-line/mistyped.ts';
import { createProgram } from '../../src/supervisor/command-line/program.ts';

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
  [['--json', 'ps'], /--json stands before 'ps'.*come after it.*\.\/ps/],
  [['ps', '--port', '1'], /unknown option '--port'[\s\S]*Try: openagent-supervisor ps --help/],
  [['logs', '-n', '10001'], /-n, --lines <number>.*from 0 to 10000/],
  [['logs', '--agent', ','], /--agent <agents>.*separated by commas/],
  [['incidents', '-n', '0'], /from 1 to 1000/],
  [['incidents', 'show', 'a'], /missing required argument 'name'/],
  [['restart'], /name agents, or say --all/],
  [['restart', 'a', '--all'], /not both/],
  [['stop', 'a', '--timeout', '0'], /--timeout <seconds>.*above 0/],
  [['add'], /missing required argument 'dir'/],
  [['remove'], /missing required argument 'agent'/],
  [['completion', 'tcsh'], /'tcsh' is invalid.*bash, zsh, fish/],
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
    reload: true,
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

test('after `run` every name is a directory, also that of a command; so is one that is not the first', () => {
  const dirsOf = (...args: readonly string[]): unknown => {
    const parsed = parseCommandLine(args, '1.2.3');
    return parsed.kind === 'run' ? parsed.dirs : parsed;
  };
  for (const name of COMMANDS) assert.deepEqual(dirsOf('run', name), [name]);
  assert.deepEqual(dirsOf('run', '--port', '0', 'ps', 'logs'), ['ps', 'logs']);
  assert.deepEqual(dirsOf('./ps'), ['./ps']);
  assert.deepEqual(dirsOf('coder', 'ps'), ['coder', 'ps']);
  assert.deepEqual(dirsOf('--', 'ps'), ['ps']);
});

test('the launcher knows every command, and no other', () => {
  const { commands } = createProgram('1.2.3', () => {}, { commands: true });
  assert.deepEqual(commands.map((command) => command.name()).sort(), [...COMMANDS].sort());
});

test('commands on a running fleet take agents, and options in common', () => {
  const parsed = (line: string): unknown => {
    const { kind, ...rest } = parseCommandLine(line.split(' '), '1.2.3');
    return [kind, 'options' in rest ? rest.options : rest];
  };
  const plain = { json: false };
  const tail = { ...plain, agents: [], follow: false, lines: 100 };
  const wait = { ...plain, wait: true, timeoutSeconds: 120 };
  assert.deepEqual(parsed('ps'), ['ps', { ...plain, agents: [], wide: false }]);
  assert.deepEqual(parsed('ps a b --wide --fleet 12 --json'), [
    'ps',
    { agents: ['a', 'b'], wide: true, fleet: '12', json: true },
  ]);
  assert.deepEqual(parsed('logs'), ['logs', tail]);
  assert.deepEqual(parsed('logs a -f -n 0 --agent b,c --agent d --event turn.'), [
    'logs',
    { ...tail, follow: true, lines: 0, agents: ['a', 'b', 'c', 'd'], event: 'turn.' },
  ]);
  assert.deepEqual(parsed('events -f'), ['events', { ...tail, follow: true }]);
  assert.deepEqual(parsed('incidents --agent a'), ['incidents', { ...plain, agents: ['a'], lines: 50 }]);
  assert.deepEqual(parsed('incidents show a 1 --json'), ['incident', { json: true, agent: 'a', name: '1' }]);
  for (const action of ['start', 'stop', 'restart', 'release']) {
    assert.deepEqual(parsed(`${action} a`), ['act', { ...wait, action, agents: ['a'], all: false }]);
  }
  assert.deepEqual(parsed('stop --all --no-wait'), [
    'act',
    { ...wait, wait: false, action: 'stop', agents: [], all: true },
  ]);
  assert.deepEqual(parsed('add x y --timeout 1.5'), [
    'add',
    { ...wait, timeoutSeconds: 1.5, dirs: ['x', 'y'] },
  ]);
  assert.deepEqual(parsed('remove a --fleet /x.sock'), [
    'remove',
    { ...wait, fleet: '/x.sock', agents: ['a'] },
  ]);
  assert.deepEqual(parsed('completion zsh'), ['completion', { shell: 'zsh' }]);
  assert.deepEqual(parsed('complete -- ps --'), ['complete', { words: ['ps', '--'] }]);
});

test('every command explains itself: with examples, and with its exit codes', () => {
  for (const name of COMMANDS.filter((word) => !['init', 'completion'].includes(word))) {
    const help = parseCommandLine([name, '--help'], '1.2.3');
    assert.ok(help.kind === 'print' && help.exitCode === 0, name);
    assert.match(help.stdout, /Exit codes:\n {2}0 /, name);
    if (name !== 'validate')
      assert.match(help.stdout, new RegExp(`Examples:\n {2}openagent-supervisor ${name} ?`));
  }
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

test('a command with a slip in it is told from the name of a directory', () => {
  const meant = {
    pss: 'ps',
    restrat: 'restart',
    log: 'logs',
    evnts: 'events',
    hello: undefined,
    coder: undefined,
  };
  for (const [word, command] of Object.entries(meant)) assert.equal(meantCommand(word), command, word);
  for (const word of ['./pss', 'ps-1', 'a', 'agents']) assert.equal(meantCommand(word), undefined, word);
});
