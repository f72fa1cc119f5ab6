import assert from 'node:assert/strict';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { type ImportOf, importsOf, ROOT, sourceFiles } from '../fixtures/source-tree.ts';

const SRC = join(ROOT, 'src');

/** folder → folders it may import besides itself. docs/architecture.md draws the picture of this table. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  contract: [],
  // Reads stuck JavaScript; from the main thread for threads, from beside the agent in a process.
  autopsy: ['contract'],
  logging: ['contract'],
  storage: ['contract', 'logging'],
  vault: ['contract', 'logging'],
  models: ['contract', 'logging'],
  uploads: ['contract', 'logging'],
  tools: ['contract', 'logging', 'models'],
  usage: ['contract', 'logging', 'storage', 'models'],
  sessions: ['contract', 'logging', 'storage', 'models'],
  scheduler: ['contract', 'logging', 'storage'],
  mcp: ['contract', 'logging', 'models', 'tools'],
  bridges: ['contract', 'logging'],
  gateway: ['contract', 'logging'],
  // Knows the wire only: what it says of a gateway must hold for any gateway.
  validate: ['contract'],
  // Talk to a running fleet from a process of their own.
  commands: ['contract'],
  // storage: the directory's lock, which an agent's process takes as well; scheduler: what a cron expression is
  supervisor: ['contract', 'autopsy', 'logging', 'gateway', 'storage', 'scheduler', 'validate', 'commands'],
  actors: [
    'contract',
    'logging',
    'storage',
    'vault',
    'models',
    'uploads',
    'usage',
    'mcp',
    'bridges',
    'gateway',
    'tools',
    'sessions',
    'scheduler',
  ],
  boot: ['contract', 'autopsy'],
};

/** What it may know of only by name: `import type`. Handlers take interfaces, and some of these are named there. */
const MAY_IMPORT_TYPES: Readonly<Record<string, readonly string[]>> = {
  gateway: ['storage'],
  uploads: ['storage'],
};

interface Edge extends ImportOf {
  readonly from: string;
  /** Within src, e.g. `contract/errors.ts`; the bare specifier of a package otherwise. */
  readonly to: string;
}

const files = sourceFiles('src').map((file) => relative(SRC, join(ROOT, file)));
const edges: readonly Edge[] = files.flatMap((from) =>
  importsOf(join(SRC, from)).map((found) => ({ ...found, from, to: targetOf(from, found.specifier) })),
);

function targetOf(from: string, specifier: string): string {
  return specifier.startsWith('.') ? relative(SRC, resolve(SRC, dirname(from), specifier)) : specifier;
}

const folderOf = (file: string) => file.split('/')[0] as string;
const isOurs = ({ specifier }: Edge) => specifier.startsWith('.');
const show = ({ from, to }: Edge) => `${from} → ${to}`;

test('every folder of src stands in the table', () => {
  const unknown = files.filter((file) => MAY_IMPORT[folderOf(file)] === undefined);
  assert.deepEqual(unknown, []);
});

test('imports only go in the allowed direction', () => {
  const wrong = edges.filter(isOurs).filter(({ from, to, kind }) => {
    const [source, target] = [folderOf(from), folderOf(to)];
    const isType = kind === 'type' && MAY_IMPORT_TYPES[source]?.includes(target) === true;
    return source !== target && !isType && !MAY_IMPORT[source]?.includes(target);
  });
  assert.ok(edges.some(isOurs));
  assert.deepEqual(wrong.map(show), []);
});

test('src/contract imports nothing but zod, so that it is safe in a browser', () => {
  const wrong = edges.filter(
    (edge) => folderOf(edge.from) === 'contract' && !isOurs(edge) && edge.to !== 'zod',
  );
  assert.deepEqual(wrong.map(show), []);
});

test('what an agent imports at its start is free of zod', () => {
  const free = ['errors', 'clock', 'limits', 'worker-protocol'].map((name) => `contract/${name}.ts`);
  const wrong = edges.filter(({ from, kind }) => free.includes(from) && kind === 'static');
  assert.deepEqual(wrong.map(show), []);
});

test('clients reach the rest of the project through clients/sdk alone, and the SDK the contract alone', () => {
  const outside = sourceFiles('clients')
    .filter((file) => !file.includes('/dist/'))
    .flatMap((file) =>
      importsOf(join(ROOT, file))
        .filter(({ specifier }) => specifier.startsWith('.'))
        .map(({ specifier }) => ({ file, to: relative(ROOT, resolve(ROOT, dirname(file), specifier)) })),
    )
    .filter(({ file, to }) => !to.startsWith(file.split('/').slice(0, 2).join('/')));
  const wrong = outside.filter(
    ({ file, to }) => !file.startsWith('clients/sdk/') || !to.startsWith('src/contract/'),
  );
  assert.ok(outside.length > 0);
  assert.deepEqual(wrong, []);
});

test('no module imports itself, by whatever way round', () => {
  const next = new Map<string, string[]>();
  for (const { from, to, kind } of edges) {
    if (kind === 'static') next.set(from, [...(next.get(from) ?? []), to]);
  }
  const settled = new Set<string>();
  const findCycle = (file: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (settled.has(file)) return undefined;
    for (const target of next.get(file) ?? []) {
      const cycle = findCycle(target, [...path, file]);
      if (cycle !== undefined) return cycle;
    }
    settled.add(file);
    return undefined;
  };
  for (const file of files) assert.equal(findCycle(file, [])?.join(' → '), undefined);
});
