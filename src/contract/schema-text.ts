/** A JSON Schema as people write types: `{ name: string, tags?: string[] }`, one field a line, with what is said of it. */
import type { JsonSchema } from './json-schema.ts';

export type Components = Readonly<Record<string, JsonSchema>>;

const INDENT = '  ';
/** Deeper than this, and where a schema contains itself, its name stands for it. */
const DEPTH_MAX = 8;
const CHARS_PER_LINE = 72;

export function schemaText(schema: JsonSchema, components: Components): string {
  return textOf(schema, { components, inside: [] });
}

interface Place {
  readonly components: Components;
  /** Names of the components around this one. */
  readonly inside: readonly string[];
}

function textOf(schema: JsonSchema, place: Place): string {
  const { $ref, anyOf, oneOf, allOf, type } = schema;
  if (typeof $ref === 'string') return referred($ref, place);
  if ('const' in schema) return JSON.stringify(schema.const);
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const choices = anyOf ?? oneOf;
  if (Array.isArray(choices)) return joined(choices as readonly JsonSchema[], ' | ', place);
  if (Array.isArray(allOf)) return joined(allOf as readonly JsonSchema[], ' & ', place);
  if (Array.isArray(type))
    return type.map((each: string) => textOf({ ...schema, type: each }, place)).join(' | ');
  switch (type) {
    case 'object':
      return objectText(schema, place);
    case 'array':
      return arrayText(schema, place);
    case undefined:
      return 'anything';
    default:
      return String(type);
  }
}

function referred(ref: string, { components, inside }: Place): string {
  const name = ref.slice(ref.lastIndexOf('/') + 1);
  const target = components[name];
  if (target === undefined || inside.includes(name) || inside.length >= DEPTH_MAX) return name;
  return textOf(target, { components, inside: [...inside, name] });
}

function joined(schemas: readonly JsonSchema[], sign: string, place: Place): string {
  return [...new Set(schemas.map((schema) => textOf(schema, place)))].join(sign);
}

function arrayText({ items }: JsonSchema, place: Place): string {
  if (typeof items !== 'object' || items === null) return 'anything[]';
  const text = textOf(items as JsonSchema, place);
  const isChoice = ['anyOf', 'oneOf', 'allOf', 'enum'].some((key) => key in items);
  const isOne = 'type' in items && !Array.isArray(items.type) && !isChoice;
  return isOne || !/ [|&] /.test(text) ? `${text}[]` : `(${text})[]`;
}

function objectText(schema: JsonSchema, place: Place): string {
  const fields = Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>);
  const required = (schema.required ?? []) as readonly string[];
  const { additionalProperties: others } = schema;
  const lines = fields.map(([name, field]) => {
    const key = /^[\w$]+$/.test(name) ? name : JSON.stringify(name);
    const note = noteOf(field);
    return `${key}${required.includes(name) ? '' : '?'}: ${textOf(field, place)}${note}`;
  });
  if (typeof others === 'object' && others !== null) {
    lines.push(`[name]: ${textOf(others as JsonSchema, place)}`);
  }
  if (lines.length === 0) return '{}';
  const short = `{ ${lines.join(', ')} }`;
  if (short.length <= CHARS_PER_LINE && !short.includes('\n') && !short.includes('//')) return short;
  const body = lines.map((line) => `${INDENT}${line.replaceAll('\n', `\n${INDENT}`)}`).join('\n');
  return `{\n${body}\n}`;
}

function noteOf({ description, default: otherwise }: JsonSchema): string {
  const notes = [
    ...(typeof description === 'string' ? [description.replaceAll(/\s+/g, ' ')] : []),
    ...(otherwise === undefined ? [] : [`${JSON.stringify(otherwise)} when absent`]),
  ];
  return notes.length > 0 ? `  // ${notes.join('; ')}` : '';
}
