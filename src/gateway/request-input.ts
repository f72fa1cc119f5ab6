/**
 * Turns a query string and a body into what a handler may trust. Nothing here runs for a route without query and
 * body, and zod itself arrives with the first call of `loadSchemas`.
 */
import type { z } from 'zod';
import { AppError } from '../contract/errors.ts';
import type { Route } from '../contract/route.ts';
import { safeParse } from '../contract/safe-parse.ts';
import { isNestedDeeper } from './json-depth.ts';
import type { HttpRequest } from './transport.ts';

/** The schemas of any route, its row no longer known. */
export interface AnySchemas {
  readonly query?: z.ZodType | undefined;
  readonly body?: z.ZodType | undefined;
}

export interface InputOptions {
  readonly row: Route;
  readonly params: Readonly<Record<string, string>> | undefined;
  readonly bodyBytesMax: number;
  readonly uploadBytesMax: number;
  readonly jsonDepthMax: number;
  readonly loadSchemas: () => Promise<AnySchemas>;
}

/** Problems named in one answer; a client that sends more has seen enough. */
const ISSUES_MAX = 20;
/** What a page may send to another site without a preflight; a JSON route takes none of it. */
const FORM_TYPES = ['text/plain', 'application/x-www-form-urlencoded'];

/**
 * Refuses what HTML forms can send. Other types pass, whatever they are called: the reference's clients post an empty
 * body as `application/octet-stream`, and a browser needs a preflight for those.
 */
export function checkContentType(contentType: string): void {
  if (contentType === '') return;
  const [essence = ''] = contentType.split(/[;,]/, 1);
  const type = essence.trim().toLowerCase();
  if (!FORM_TYPES.includes(type) && !type.startsWith('multipart/')) return;
  throw new AppError(
    'content_type.unsupported',
    `A body of type ${type} is not taken: send application/json`,
  );
}

/** Nothing is unpacked: a body of a few bytes could become one of any size, and read as it is it would be garbage. */
export function checkContentEncoding(contentEncoding: string): void {
  if (contentEncoding === '') return;
  const given = contentEncoding.split(',').map((coding) => coding.trim().toLowerCase());
  if (given.every((coding) => coding === 'identity' || coding === '')) return;
  throw new AppError(
    'content_encoding.unsupported',
    `A body with Content-Encoding "${contentEncoding.slice(0, 100)}" is not taken: send it as it is, without that header`,
  );
}

/** What needs no schema, read at once: uWS frees the request when the handler returns. */
export function plainInput(request: HttpRequest, options: Omit<InputOptions, 'loadSchemas'>): object {
  const { row, params } = options;
  const headers = row.headers?.map((name) => [name, request.header(name)] as const);
  return {
    ...(params === undefined ? {} : { params }),
    ...(headers === undefined ? {} : { headers: Object.fromEntries(headers) }),
    ...(row.stream === undefined ? {} : { stream: request.stream(options.uploadBytesMax) }),
  };
}

/** Reads all it needs of `request` before its first await, for the same reason. */
export async function readInput(request: HttpRequest, options: InputOptions): Promise<object> {
  const { row } = options;
  const plain = plainInput(request, options);
  const query = row.query ? readQuery(request.query) : undefined;
  const [schemas, body] = await Promise.all([
    options.loadSchemas(),
    row.body ? request.readBody(options.bodyBytesMax) : undefined,
  ]);
  const parsedBody =
    body === undefined ? undefined : parseJson(body, options.jsonDepthMax, row.emptyBody === true);
  return {
    ...plain,
    ...(schemas.query === undefined ? {} : { query: validate(schemas.query, query, 'query') }),
    ...(schemas.body === undefined ? {} : { body: validate(schemas.body, parsedBody, 'body') }),
  };
}

/** A name given twice means two things to two readers, so it is refused. */
function readQuery(query: string): Record<string, string> {
  const pairs = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (pairs.has(name)) {
      throw invalid('query', [{ field: `query.${name}`, message: 'given more than once' }]);
    }
    pairs.set(name, value);
  }
  return Object.fromEntries(pairs);
}

function parseJson(body: Buffer, depthMax: number, mayBeEmpty: boolean): unknown {
  if (body.length === 0) {
    if (mayBeEmpty) return {};
    throw new AppError('request.bad_json', 'The body is empty: send a JSON document');
  }
  if (isNestedDeeper(body, depthMax)) {
    throw new AppError(
      'request.bad_json',
      `The body nests more than ${depthMax} levels deep: send it flatter`,
    );
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('request.bad_json', `The body is not JSON: ${reason}`, { cause });
  }
}

function validate(schema: z.ZodType, value: unknown, where: 'query' | 'body'): unknown {
  const result = safeParse<unknown, z.core.$ZodIssue>(schema, value);
  if (result.success) return result.data;
  const issues = result.error.issues.slice(0, ISSUES_MAX);
  throw invalid(
    where,
    issues.map(({ path, message }) => ({ field: [where, ...path.map(String)].join('.'), message })),
  );
}

function invalid(where: string, issues: readonly { field: string; message: string }[]): AppError {
  const [first] = issues;
  const reason = first ? `${first.field}: ${first.message}` : 'it does not match';
  return new AppError('request.invalid', `The ${where} is not valid: ${reason}`, { details: { issues } });
}
