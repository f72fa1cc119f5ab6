/**
 * What a server says its tools are, taken with care: it is text of a stranger that goes to a model. One tool that is
 * malformed or too large is left out and named; the others stay.
 */
import { createHash } from 'node:crypto';
import type { McpBounds } from './bounds.ts';
import type { ListedTool, ToolList } from './connection.ts';
import { cutText } from './cut-text.ts';

const PAGES_MAX = 64;
const NAME_CHARS_MAX = 256;
const PROBLEMS_MAX = 10;
/** What a person does not see and a model reads: tags, marks of direction, controls. Joiners are part of some scripts. */
const INVISIBLE = /(?![\n\r\t\u200c\u200d])[\p{Cc}\p{Cf}]/gu;

/** One page, as the server sent it. */
export type FetchPage = (cursor: string | undefined) => Promise<unknown>;

type Json = Readonly<Record<string, unknown>>;

export async function readToolList(fetchPage: FetchPage, bounds: McpBounds): Promise<ToolList> {
  const tools = new Map<string, ListedTool>();
  const problems: string[] = [];
  const problem = (text: string): void => {
    if (problems.length < PROBLEMS_MAX) problems.push(text);
  };
  const seen = new Set<string>();
  let cursor: string | undefined;
  for (let page = 1; ; page += 1) {
    const answer = await fetchPage(cursor);
    const listed =
      isRecord(answer) && Array.isArray(answer.tools) ? (answer.tools as readonly unknown[]) : [];
    for (const written of listed) {
      if (tools.size >= bounds.tools) {
        problem(`it has more than ${bounds.tools} tools; the others are left out (limits.mcp_tools)`);
        return { tools: [...tools.values()], problems };
      }
      const tool = taken(written, bounds, problem);
      if (tool !== undefined && !tools.has(tool.name)) tools.set(tool.name, tool);
    }
    const next = isRecord(answer) ? answer.nextCursor : undefined;
    if (typeof next !== 'string') break;
    if (page >= PAGES_MAX || seen.has(next)) {
      problem(`its list of tools has no end; what came after page ${page} is left out`);
      break;
    }
    seen.add(next);
    cursor = next;
  }
  return { tools: [...tools.values()], problems };
}

/** A schema nested a hundred thousand deep is valid JSON, and more than a stack holds. */
function taken(written: unknown, bounds: McpBounds, problem: (text: string) => void): ListedTool | undefined {
  try {
    return toListedTool(written, bounds, problem);
  } catch (error) {
    problem(`a tool is left out: ${String(error)}`);
    return undefined;
  }
}

function toListedTool(
  written: unknown,
  bounds: McpBounds,
  problem: (text: string) => void,
): ListedTool | undefined {
  const name = isRecord(written) ? written.name : undefined;
  if (!isRecord(written) || typeof name !== 'string' || name === '' || name.length > NAME_CHARS_MAX) {
    problem('a tool without a usable name is left out');
    return undefined;
  }
  const inputSchema = isRecord(written.inputSchema) ? written.inputSchema : {};
  const bytes = Buffer.byteLength(JSON.stringify(inputSchema));
  if (bytes > bounds.schemaBytes) {
    problem(`${name} is left out: its schema has ${bytes} bytes, more than limits.mcp_schema_bytes allows`);
    return undefined;
  }
  const annotations = isRecord(written.annotations) ? written.annotations : {};
  const said = typeof written.description === 'string' ? written.description : '';
  return {
    name,
    description: described(said, bounds.descriptionChars),
    inputSchema: toOffered(inputSchema),
    readOnly: annotations.readOnlyHint === true,
    idempotent: annotations.idempotentHint === true,
    hash: hashOf([name, said, inputSchema, annotations]),
  };
}

const ALTERNATIVES = ['oneOf', 'anyOf', 'allOf'] as const;
const REFUSED = [...ALTERNATIVES, 'enum', 'not'];

/**
 * Models want an object, and a server may say less than that. With alternatives at its top one schema makes vendors refuse
 * every request of the agent: their properties are told side by side, and which go together the server checks itself.
 */
function toOffered(schema: Json): Json {
  if (!REFUSED.some((word) => word in schema)) {
    return schema.type === 'object' ? schema : { ...schema, type: 'object' };
  }
  const rest = Object.entries(schema).filter(([word]) => !REFUSED.includes(word));
  const properties: Record<string, unknown> = {};
  const required = new Set(namesIn(schema.required));
  for (const word of ALTERNATIVES) {
    for (const branch of Array.isArray(schema[word]) ? (schema[word] as readonly unknown[]) : []) {
      if (!isRecord(branch)) continue;
      if (isRecord(branch.properties)) Object.assign(properties, branch.properties, { ...properties });
      if (word === 'allOf') for (const name of namesIn(branch.required)) required.add(name);
    }
  }
  if (isRecord(schema.properties)) Object.assign(properties, schema.properties);
  return {
    ...Object.fromEntries(rest),
    type: 'object',
    ...(Object.keys(properties).length > 0 ? { properties } : {}),
    ...(required.size > 0 ? { required: [...required] } : {}),
  };
}

function namesIn(required: unknown): readonly string[] {
  return Array.isArray(required) ? required.filter((name) => typeof name === 'string') : [];
}

function described(text: string, charsMax: number): string {
  const visible = text.replace(INVISIBLE, '');
  return visible.length <= charsMax ? visible : `${cutText(visible, charsMax)}…`;
}

function hashOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(value)))
    .digest('base64url')
    .slice(0, 22);
}

/** The order of keys says nothing. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isRecord(value)) return value;
  const keys = Object.keys(value).sort();
  return keys.map((key) => [key, sorted(value[key])]);
}

export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
