/** A line per file, and all there is to know of each failure; what passes needs no words. */
import { relative } from 'node:path';
import { inspect } from 'node:util';

const isOwnFailure = ({ details }) => details.error?.failureType !== 'subtestsFailed';

function nameOf(file) {
  return file === undefined ? '(no file)' : relative(process.cwd(), file);
}

function describeFailure({ name, file, line, details }) {
  const { cause = details.error, exitCode, signal } = details.error ?? {};
  const text = typeof cause === 'string' ? cause : inspect(cause, { depth: 4 });
  const end =
    exitCode || signal ? ` (the file's process ended with ${signal ?? `exit code ${exitCode}`})` : '';
  return `\n✖ ${name}\n  ${nameOf(file)}:${line ?? ''}\n${text.replaceAll(/^/gm, '  ')}${end}\n\n`;
}

function describeFile(file, { passed, failed, skipped, durationMs }) {
  const notes = [failed > 0 && `${failed} failed`, skipped > 0 && `${skipped} skipped`].filter(Boolean);
  const seconds = (durationMs / 1000).toFixed(1).padStart(6);
  return `${failed > 0 ? '✖' : '✔'} ${seconds} s  ${nameOf(file)}  ${[`${passed} passed`, ...notes].join(', ')}\n`;
}

function count(entry, { skip, nesting, details }, hasPassed) {
  if (skip !== undefined && skip !== false) entry.skipped += 1;
  else if (hasPassed) entry.passed += 1;
  else entry.failed += 1;
  if (nesting === 0) entry.durationMs += details.duration_ms;
}

// Node loads a reporter by its default export.
// biome-ignore lint/style/noDefaultExport: see above
export default async function* report(source) {
  const startedAt = performance.now();
  const files = new Map();
  let current;
  for await (const { type, data } of source) {
    if (type === 'test:stderr') yield data.message;
    const isResult = type === 'test:pass' || type === 'test:fail';
    if (!isResult || data.details.type === 'suite' || !isOwnFailure(data)) continue;
    if (type === 'test:fail') yield describeFailure(data);
    // Node hands out the files' results one file after another.
    if (current !== undefined && current !== data.file) yield describeFile(current, files.get(current));
    current = data.file;
    if (!files.has(current)) files.set(current, { passed: 0, failed: 0, skipped: 0, durationMs: 0 });
    count(files.get(current), data, type === 'test:pass');
  }
  if (current !== undefined) yield describeFile(current, files.get(current));
  const sum = (key) => [...files.values()].reduce((total, entry) => total + entry[key], 0);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  yield `${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped in ${files.size} files, ${seconds} s\n`;
}
