/**
 * Several small test files in one process: starting one costs more than most of them run. Files stay apart that do
 * something to their process, or that look at it.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Files that wait for programs are slow, and would leave one process to go on alone at the end. */
const PER_BATCH = { e2e: 5, mcp: 5, uploads: 5 };
const PER_BATCH_ELSE = 10;
/** Kinds whose tests call functions, talk to a server within their own process, or to programs they have started. */
const KINDS =
  /^test\/(bridges|commands|config|contract|e2e|logging|machine|mcp|models|repo|scheduler|sdk|storage|tools|turns|uploads|usage|vault)\//;
/** They run for long, and are better started apart. */
const APART =
  /\/ws-|property|code-cache|documents|watchdog|kill-nine|under-load|death-load|crashes|faults|ports|signals|command-line|terminal|validate|vault-sync|real-servers|cpu-watch|vitals/;
const TOUCHES_PROCESS =
  /process\.(on|once|exit|chdir|memoryUsage|kill|env\.\w+ =|umask)|mock\.|new Worker\(|performance\.eventLoop|^(before|after|beforeEach|afterEach)\(/m;

/** The files to start, in their order: a batch stands where the first of its files stood. `root`: of the project. */
export function toBatches(files, root, directory) {
  const groups = new Map();
  for (const file of files) {
    const kind = KINDS.exec(file)?.[1];
    const isSmall =
      kind !== undefined &&
      !APART.test(file) &&
      !TOUCHES_PROCESS.test(readFileSync(join(root, file), 'utf8'));
    if (!isSmall) groups.set(file, [file]);
    else addToGroup(groups, kind, file);
  }
  mkdirSync(directory, { recursive: true });
  return [...groups.entries()].map(([name, group]) => {
    if (group.length === 1) return group[0];
    const path = join(directory, `${name}.mjs`);
    const imports = group.map(
      (file) => `await import(${JSON.stringify(pathToFileURL(join(root, file)).href)});\n`,
    );
    writeFileSync(path, imports.join(''));
    return path;
  });
}

function addToGroup(groups, kind, file) {
  for (let n = 1; ; n += 1) {
    const group = groups.get(`${kind}-${n}`) ?? [];
    if (group.length >= (PER_BATCH[kind] ?? PER_BATCH_ELSE)) continue;
    groups.set(`${kind}-${n}`, [...group, file]);
    return;
  }
}
