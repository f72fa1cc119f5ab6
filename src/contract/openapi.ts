/**
 * The OpenAPI 3.1 document of an agent's REST interface, made from the route table and its schemas, so that it cannot
 * say anything else than what the router and the validation do. Brings zod: only ever reached by `import()`, on the
 * first request for the document.
 */
import { z } from 'zod';
import { ERRORS, type ErrorCode } from './errors.ts';
import { componentRef, type JsonSchema, toComponents } from './json-schema.ts';
import { isOpenAiPath } from './openai-error.ts';
import type { RequestHeader, Route, RouteTable } from './route.ts';

/** The schemas of a route, its row no longer known. */
export interface AnyRouteSchema {
  readonly response: z.ZodType;
  readonly query?: z.ZodObject | undefined;
  readonly body?: z.ZodType | undefined;
}

export interface OpenApiParameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description?: string;
  readonly schema: JsonSchema;
}

interface Content {
  readonly [mediaType: string]: { readonly schema: JsonSchema };
}

export interface OpenApiResponse {
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly description: string; readonly schema: JsonSchema }>>;
  readonly content?: Content;
}

export interface OpenApiOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters?: readonly OpenApiParameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, OpenApiResponse>>;
}

export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly servers: { readonly url: string }[];
  readonly tags: { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: {
    readonly securitySchemes: Readonly<Record<string, JsonSchema>>;
    readonly schemas: Readonly<Record<string, JsonSchema>>;
  };
}

const DESCRIPTION = [
  'REST interface of one agent. Every error has the body `{error, code, details?}`; `code` tells what happened.',
  'Under `/v1/` it has the shape of OpenAI, with the same codes.',
  'An unknown path is 404, a wrong method 405 with `Allow`. `HEAD` is answered as `GET` without the body, `OPTIONS`',
  'with 204 on any path. Fields that are not described here may be added to any answer at any time.',
].join(' ');

/** Paths of one segment that belong together; every other path is tagged by its first segment. */
const TAGS: Readonly<Record<string, string>> = {
  health: 'agent',
  'agent-info': 'agent',
  restart: 'agent',
  update: 'agent',
  upload: 'files',
  'openapi.json': 'docs',
  'asyncapi.json': 'docs',
};

const HEADER_MEANINGS: Readonly<Record<RequestHeader, string>> = {
  'accept-encoding': 'Encodings the client can read',
  'content-length': 'Size of the body in bytes',
  'content-type': 'Type of the body, with its boundary where it has parts',
  'idempotency-key': 'The same key with the same text is the same turn, however often it is asked for',
  'if-match': 'ETag of the version that the request is meant for; another one is refused',
  'if-none-match': 'ETag the client has; 304 while it is still the current one',
  'if-range': 'ETag of the version that `Range` is meant for',
  range: 'Part that is wanted, as `bytes=<first>-<last>`',
};
/** What belongs to HTTP itself; OpenAPI does not take it for a parameter. */
const NOT_PARAMETERS: readonly RequestHeader[] = ['accept-encoding', 'content-length', 'content-type'];

const OCTETS = 'application/octet-stream';
const EVENTS = 'text/event-stream';
const ERROR_SCHEMA = 'Error';
const OPENAI_ERROR_SCHEMA = 'OpenAiError';

export interface OpenApiOptions {
  readonly version: string;
  readonly routes: RouteTable;
  readonly schemas: Readonly<Record<string, AnyRouteSchema>>;
}

export function toOpenApi({ version, routes, schemas }: OpenApiOptions): OpenApiDocument {
  const paths: Record<string, Record<string, OpenApiOperation>> = {};
  for (const [name, row] of Object.entries(routes)) {
    const path = row.path.replaceAll('*}', '}');
    paths[path] = { ...paths[path], [row.method.toLowerCase()]: operationOf(name, row, schemas[name]) };
  }
  const tags = new Set(Object.values(routes).map(tagOf));
  return {
    openapi: '3.1.0',
    info: { title: 'OpenAgent', version, description: DESCRIPTION },
    servers: [{ url: '/' }],
    tags: [...tags].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: { ...errorSchemas(), ...componentsOf(routes, schemas) },
    },
  };
}

function tagOf({ path }: Route): string {
  if (isOpenAiPath(path)) return 'openai';
  const [, , segment = ''] = path.split('/');
  return TAGS[segment] ?? segment;
}

/** What an answer promises and a body needs, each under a name of its own, so that code generators have names. */
function componentsOf(
  routes: RouteTable,
  schemas: OpenApiOptions['schemas'],
): Readonly<Record<string, JsonSchema>> {
  const answers: Record<string, z.ZodType> = {};
  const bodies: Record<string, z.ZodType> = {};
  for (const [name, row] of Object.entries(routes)) {
    const schema = schemas[name];
    if (schema === undefined) continue;
    if (!row.bytes) answers[answerName(name)] = schema.response;
    if (schema.body !== undefined) bodies[bodyName(name)] = schema.body;
  }
  return { ...toComponents(answers, 'output'), ...toComponents(bodies, 'input') };
}

const capitalized = (name: string): string => `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
const answerName = (route: string): string => `${capitalized(route)}Answer`;
const bodyName = (route: string): string => `${capitalized(route)}Body`;

function operationOf(name: string, row: Route, schema: AnyRouteSchema | undefined): OpenApiOperation {
  const parameters = [...pathParameters(row), ...queryParameters(schema?.query), ...headerParameters(row)];
  const content = bodyContent(name, row);
  return {
    operationId: name,
    summary: row.summary,
    tags: [tagOf(row)],
    security: row.auth === 'none' ? [] : [{ token: [] }],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(content === undefined ? {} : { requestBody: { required: row.emptyBody !== true, content } }),
    responses: { ...answersOf(name, row, schema), ...errorsOf(name, row) },
  };
}

function pathParameters({ path }: Route): readonly OpenApiParameter[] {
  return [...path.matchAll(/\{(\w+)(\*?)\}/g)].map(([, name = '', greedy]) => ({
    name,
    in: 'path',
    required: true,
    ...(greedy ? { description: 'All that is left of the path; slashes stand as they are' } : {}),
    schema: { type: 'string', minLength: 1 },
  }));
}

function queryParameters(query: z.ZodObject | undefined): readonly OpenApiParameter[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = toComponents({ query }, 'input').query as {
    properties?: Record<string, JsonSchema>;
    required?: readonly string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(typeof description === 'string' ? { description } : {}),
    schema,
  }));
}

function headerParameters({ headers = [] }: Route): readonly OpenApiParameter[] {
  return headers
    .filter((name) => !NOT_PARAMETERS.includes(name))
    .map((name) => ({
      name,
      in: 'header',
      required: false,
      description: HEADER_MEANINGS[name],
      schema: { type: 'string' },
    }));
}

function bodyContent(name: string, row: Route): Content | undefined {
  if (row.body) return { 'application/json': { schema: componentRef(bodyName(name)) } };
  if (!row.stream) return undefined;
  // Who looks at the type of a streamed body looks for its parts.
  return row.headers?.includes('content-type')
    ? { 'multipart/form-data': { schema: { type: 'object', additionalProperties: { type: 'string' } } } }
    : { [OCTETS]: { schema: {} } };
}

function answersOf(
  name: string,
  row: Route,
  schema: AnyRouteSchema | undefined,
): Readonly<Record<string, OpenApiResponse>> {
  const asks = (header: RequestHeader): boolean => row.headers?.includes(header) === true;
  // Any answer to a GET may have a version; the gateway itself compares it with what the client has.
  const isVersioned = row.method === 'GET' || asks('if-match');
  const content = {
    ...(row.bytes
      ? { [bytesType(schema)]: { schema: {} } }
      : { 'application/json': { schema: componentRef(answerName(name)) } }),
    ...(row.eventStream ? { [EVENTS]: { schema: { type: 'string' } } } : {}),
  };
  const etag = {
    ETag: {
      description: 'The version, where it has one; for `If-Match` and `If-None-Match`',
      schema: { type: 'string' },
    },
  };
  return {
    [row.success ?? 200]: { description: row.summary, ...(isVersioned ? { headers: etag } : {}), content },
    ...(asks('range') ? { 206: { description: 'The part that `Range` named', content } } : {}),
    ...(row.method === 'GET' ? { 304: { description: '`If-None-Match` names the current `ETag`' } } : {}),
  };
}

/** A schema of bytes may name their media type. */
function bytesType(schema: AnyRouteSchema | undefined): string {
  const type = schema?.response.meta()?.contentMediaType;
  return typeof type === 'string' ? type : OCTETS;
}

/** Every code a request to this route can be answered with, by status. */
function errorsOf(name: string, row: Route): Readonly<Record<string, OpenApiResponse>> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set([...generalErrors(row), ...row.errors])) {
    const { status } = ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const answers = Object.fromEntries(
    [...byStatus].map(([status, codes]) => [status, errorResponse(codes, errorOf(row, codes))]),
  );
  if (!row.answersNo) return answers;
  const no = byStatus.get(400) ?? [];
  const schema = { anyOf: [errorOf(row, no), componentRef(answerName(name))] };
  return { ...answers, 400: errorResponse(no, schema) };
}

function generalErrors(row: Route): readonly ErrorCode[] {
  return [
    'access.host',
    'access.origin',
    'access.cross_site',
    'internal',
    ...(row.auth === 'token' ? (['auth.required', 'auth.invalid', 'auth.rate_limited'] as const) : []),
    ...(row.query || row.body || row.path.includes('{') ? (['request.invalid'] as const) : []),
    ...(row.body ? (['request.bad_json', 'body.too_large'] as const) : []),
    ...(row.method !== 'GET' ? (['content_encoding.unsupported'] as const) : []),
    ...(row.method !== 'GET' && !row.stream ? (['content_type.unsupported'] as const) : []),
  ];
}

function errorResponse(codes: readonly ErrorCode[], schema: JsonSchema): OpenApiResponse {
  return {
    description: codes.map((code) => `\`${code}\``).join(', '),
    content: { 'application/json': { schema } },
  };
}

function errorOf({ path }: Route, codes: readonly ErrorCode[]): JsonSchema {
  const code = { properties: { code: { enum: codes } } };
  return isOpenAiPath(path)
    ? { allOf: [componentRef(OPENAI_ERROR_SCHEMA), { properties: { error: code } }] }
    : { allOf: [componentRef(ERROR_SCHEMA), code] };
}

function errorSchemas(): Readonly<Record<string, JsonSchema>> {
  const code = z.string().describe('For programs: one of the codes of the error table');
  const message = z.string().describe('For people: what is wrong and what to do');
  const ours = z.object({
    error: message,
    code,
    details: z.unknown().optional().describe('What belongs to the code'),
  });
  const openAi = z.object({
    error: z.object({
      message,
      type: z.string(),
      code,
      param: z.string().nullable().describe('The field that is wrong, where it is known'),
    }),
  });
  return toComponents({ [ERROR_SCHEMA]: ours, [OPENAI_ERROR_SCHEMA]: openAi }, 'input');
}
