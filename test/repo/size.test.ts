import assert from 'node:assert/strict';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import ts from 'typescript';
import { parse, ROOT, readSource, sourceFiles, walk } from '../fixtures/source-tree.ts';

const FILE_LINES = 400;
const FUNCTION_LINES = 60;

const shipped = [
  ...sourceFiles('src', 'bin', 'scripts', 'bench'),
  ...sourceFiles('clients').filter((file) => !file.includes('/dist/')),
];
const all = [...shipped, ...sourceFiles('test')];

function isFunction(node: ts.Node): node is ts.FunctionLikeDeclaration {
  return ts.isFunctionLike(node) && 'body' in node && node.body !== undefined;
}

function longFunctionsOf(file: string): string[] {
  const source = parse(join(ROOT, file));
  const long: string[] = [];
  walk(source, (node) => {
    if (!isFunction(node)) return;
    const first = source.getLineAndCharacterOfPosition(node.getStart()).line;
    const lines = source.getLineAndCharacterOfPosition(node.getEnd()).line - first + 1;
    if (lines > FUNCTION_LINES) long.push(`${file}:${first + 1} (${lines} lines)`);
  });
  return long;
}

function filesWith(files: readonly string[], pattern: RegExp): string[] {
  return files.flatMap((file) =>
    readSource(file)
      .split('\n')
      .flatMap((line, at) => (pattern.test(line) ? [`${file}:${at + 1}: ${line.trim()}`] : [])),
  );
}

test(`no file is longer than ${FILE_LINES} lines`, () => {
  assert.ok(all.length > 20);
  const long = all.filter((file) => readSource(file).trimEnd().split('\n').length > FILE_LINES);
  assert.deepEqual(long, []);
});

test(`no function is longer than ${FUNCTION_LINES} lines`, () => {
  assert.deepEqual(shipped.flatMap(longFunctionsOf), []);
});

test('every file is named after what it holds', () => {
  const vague = all.filter((file) => /^(utils?|helpers?|types|misc|common|shared)\./.test(basename(file)));
  assert.deepEqual(vague, []);
});

test('no file is in kebab-case only by half', () => {
  const wrong = all.filter((file) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9-]+)+$/.test(basename(file)));
  assert.deepEqual(wrong, []);
});

test('nothing is left for later, and no check of the compiler is silenced', () => {
  assert.deepEqual(filesWith(all, /\bTO[D]O\b|\bFIX[M]E\b|@ts-(ignor[e]|nochec[k])/), []);
});

test('nothing in src blocks its thread with a child process or with cryptography', () => {
  const blocking =
    /\b(exec|execFile|spawn|pbkdf2|scrypt|hkdf|generateKey|generateKeyPair|generatePrime|checkPrime)Sync\s*\(/;
  assert.deepEqual(filesWith(sourceFiles('src'), blocking), []);
});
