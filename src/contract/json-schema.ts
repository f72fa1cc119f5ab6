/**
 * JSON Schema from zod, in the form that OpenAPI and AsyncAPI documents want: named components that refer to each other
 * inside one document. zod's own output has ids and a place for shared parts that neither of them understands.
 */
import { z } from 'zod';

export type JsonSchema = Readonly<Record<string, unknown>>;

const PREFIX = '#/components/schemas/';
/** Where zod puts what is recursive. */
const SHARED = '__shared';

export function componentRef(name: string): JsonSchema {
  return { $ref: `${PREFIX}${name}` };
}

/**
 * `input`: what a caller has to send; `output`: what it gets. Answers are open: fields may be added to them, so they are
 * not described as closed unless their schema is strict.
 */
export function toComponents(
  schemas: Readonly<Record<string, z.ZodType>>,
  io: 'input' | 'output',
  target: 'draft-2020-12' | 'draft-7' = 'draft-2020-12',
): Readonly<Record<string, JsonSchema>> {
  const names = Object.keys(schemas);
  const registry = z.registry<{ id: string }>();
  const aliases = new Map<string, string>();
  const idOf = new Map<z.ZodType, string>();
  for (const [name, schema] of Object.entries(schemas)) {
    // One schema may stand for several answers; the registry knows it by one name.
    const known = idOf.get(schema);
    if (known !== undefined) aliases.set(name, known);
    else {
      idOf.set(schema, name);
      registry.add(schema, { id: name });
    }
  }
  const prefix = `${io === 'input' ? 'In' : 'Out'}Value`;
  const { schemas: made } = z.toJSONSchema(registry, {
    io,
    target,
    unrepresentable: 'any',
    uri: (id) => `${PREFIX}${id}`,
    override: ({ zodSchema, jsonSchema }) => {
      const { def } = zodSchema._zod;
      if (def.type === 'object' && def.catchall === undefined) delete jsonSchema.additionalProperties;
    },
  });
  const { [SHARED]: shared, ...named } = made as Record<string, JsonSchema>;
  const parts = (shared?.$defs ?? shared?.definitions ?? {}) as Record<string, JsonSchema>;
  const components: Record<string, JsonSchema> = {};
  for (const name of names) {
    const alias = aliases.get(name);
    components[name] =
      alias === undefined ? clean(named[name] ?? {}, prefix) : (componentRef(alias) as JsonSchema);
  }
  for (const [name, part] of Object.entries(parts)) components[`${prefix}${name}`] = clean(part, prefix);
  return components;
}

/** Without zod's ids, and with references to shared parts turned into references to components. */
function clean(schema: JsonSchema, prefix: string): JsonSchema {
  const text = JSON.stringify(schema, (key, value: unknown) =>
    key === '$schema' || key === '$id' ? undefined : value,
  );
  const shared = new RegExp(`${PREFIX}${SHARED}#/(?:\\$defs|definitions)/`, 'g');
  return JSON.parse(text.replaceAll(shared, `${PREFIX}${prefix}`)) as JsonSchema;
}
