import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { Announcement } from '../../src/contract/fleet/announcement.ts';
import { FLEET_LIMITS } from '../../src/contract/fleet/fleet-limits.ts';
import { FleetClientFrame, FleetServerFrame } from '../../src/contract/fleet/frames.ts';
import { FLEET_ROUTES } from '../../src/contract/fleet/routes.ts';
import { FLEET_SCHEMAS } from '../../src/contract/fleet/schemas.ts';
import { limitKey } from '../../src/contract/limits.ts';
import { docPage, unquoted } from '../fixtures/doc-page.ts';
import { readSource, sourceFiles } from '../fixtures/source-tree.ts';

const { document, tableUnder, blocksOf } = docPage('docs/fleet.md');

/** Equal to what its schema makes of it: no unknown field, none left out. */
function holds(schema: z.ZodType, example: string, what: string): void {
  const value: unknown = JSON.parse(example);
  assert.deepEqual(schema.parse(value), value, what);
}

test('the routes of the document are those of the table, with access, summary and errors', () => {
  assert.deepEqual(
    tableUnder('Routes').map((row) => row.map(unquoted)),
    Object.values(FLEET_ROUTES).map(({ method, path, auth, summary, errors }) => [
      ...[`${method} ${path}`, auth, summary, (errors as readonly string[]).join(', ') || '–'],
    ]),
  );
});

test('each route has an example that is what its schema says', () => {
  for (const [name, { response }] of Object.entries<{ response: z.ZodType }>(FLEET_SCHEMAS)) {
    // Text has no fields.
    if (response instanceof z.ZodString) continue;
    const [example = ''] = blocksOf('json', name);
    assert.notEqual(example, '', `${name} has an example`);
    holds(response, example, name);
  }
  holds(Announcement, blocksOf('json', 'announcement')[0] ?? '', 'announcement');
});

for (const [heading, frames, kind] of [
  ['Frames from the client', FleetClientFrame, 'client'],
  ['Frames from the gateway', FleetServerFrame, 'server'],
] as const) {
  test(`${heading}: every frame and field, optional ones marked, and an example of each`, () => {
    const options = frames.options as readonly z.ZodObject[];
    const nameOf = (frame: z.ZodObject) => (frame.shape.type as z.ZodLiteral<string>).value;
    const fields = options.flatMap((frame) => {
      const own = Object.entries(frame.shape).filter(([field]) => field !== 'type');
      if (own.length === 0) return [`${nameOf(frame)} –`];
      return own.map(([field, schema]) => {
        const isOptional = (schema as z.ZodType).safeParse(undefined).success;
        return `${nameOf(frame)} ${field}${isOptional ? '?' : ''}`;
      });
    });
    const documented = tableUnder(heading).map(([frame, field]) => `${unquoted(frame)} ${unquoted(field)}`);
    assert.deepEqual(documented, fields);
    const examples = blocksOf('json', kind);
    for (const example of examples) holds(frames, example, example);
    assert.deepEqual(
      examples.map((example) => (JSON.parse(example) as { type: string }).type),
      options.map(nameOf),
    );
  });
}

test('the limits of the document are those there are', () => {
  assert.deepEqual(
    tableUnder('Limits').map(([name, value]) => [unquoted(name), Number(value?.replaceAll(',', ''))]),
    Object.entries(FLEET_LIMITS).map(([name, value]) => [limitKey(name), value]),
  );
});

test('the names of events and the close codes of the document are those the gateway has', () => {
  const code = sourceFiles('src/supervisor/fleet-gateway')
    .filter((file) => /event-ring|supervised-fleet|fleet-socket|open-fleet/.test(file))
    .map(readSource)
    .concat(readSource('src/supervisor/fleet.ts'))
    .join('\n');
  const used = new Set(code.match(/(?<=')(?:fleet|agent|config)\.[a-z]+(?=')/g));
  const [, events = ''] = document.split('### Events');
  const named = new Set(events.split('###')[0]?.match(/(?<=`)(?:fleet|agent|config)\.[a-z]+(?=`)/g));
  for (const name of named) assert.ok(used.has(name), `${name} is an event`);
  for (const closing of code.match(/\b10[01]\d\b/g) ?? [])
    assert.match(document, new RegExp(`\\b${closing}\\b`));
});
