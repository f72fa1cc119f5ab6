/**
 * What a REST route is. The table is in two halves with the same keys: rows (`routes.ts`: method, path, access) are
 * plain data, which the router compiles at start; schemas (`route-schemas.ts`) need zod, which an agent thread must
 * not evaluate until a request has something to validate. The types below hold the halves together: a route without
 * schema, a schema without route and a route without handler do not compile.
 */
import type { z } from 'zod';
import type { ErrorCode } from './errors.ts';

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** `{name}` is one path segment; `{name*}`, only at the end, is all that is left, slashes included. */
  readonly path: `/${string}`;
  readonly summary: string;
  readonly auth: 'none' | 'token';
  /** Given: the route takes a query string, and its schema stands in the other half. */
  readonly query?: true;
  /** Given: the route takes a JSON body, and its schema stands in the other half. */
  readonly body?: true;
  /** Only with `body`: a request without one means `{}`. */
  readonly emptyBody?: true;
  /** Only with `body`: it brings files along, so that another limit of its size holds. */
  readonly bodyWithFiles?: true;
  /** Given: the handler reads the body itself, as it arrives; never together with `body`. */
  readonly stream?: true;
  /** Lower case. Given to the handler, '' for each that the request does not have. */
  readonly headers?: readonly RequestHeader[];
  /** Given: the answer is not JSON; the handler gives a `BytesReply`. */
  readonly bytes?: true;
  /** Given: the status of a success, where 200 would say too little; the handler's `reply` names it as well. */
  readonly success?: 201 | 202;
  /** Given: the schema of the answer has a form for "no" too, which the handler sends with 400, as the reference does. */
  readonly answersNo?: true;
  /** Given: who asks for it gets the answer as a stream of events. */
  readonly eventStream?: true;
  /** Besides those that every route can answer (access rules, authentication, limits). */
  readonly errors: readonly ErrorCode[];
}

/** Request headers a route may ask for, beside those that decide who is let in. */
export type RequestHeader =
  | 'accept-encoding'
  | 'content-length'
  | 'content-type'
  | 'idempotency-key'
  | 'if-match'
  | 'if-none-match'
  | 'if-range'
  | 'range';

export type RouteTable = Readonly<Record<string, Route>>;

/** Keeps literal types without `as const` at every call site. */
export function defineRoutes<const T extends RouteTable>(routes: T): T {
  return routes;
}

/** The schemas of one route: a query or body schema exactly where its row says there is one. */
export type RouteSchema<R extends Route> = { readonly response: z.ZodType } & (R extends { query: true }
  ? { readonly query: z.ZodObject }
  : { readonly query?: never }) &
  (R extends { body: true } ? { readonly body: z.ZodType } : { readonly body?: never });

export type RouteSchemas<T extends RouteTable> = { readonly [K in keyof T]: RouteSchema<T[K]> };

type ParamNames<P extends string> = P extends `${string}{${infer Name}}${infer Rest}`
  ? (Name extends `${infer Greedy}*` ? Greedy : Name) | ParamNames<Rest>
  : never;

type Params<R extends Route> = [ParamNames<R['path']>] extends [never]
  ? object
  : { readonly params: { readonly [K in ParamNames<R['path']>]: string } };
type Query<S> = S extends { readonly query: infer Q extends z.ZodObject }
  ? { readonly query: z.output<Q> }
  : object;
type Body<S> = S extends { readonly body: infer B extends z.ZodType }
  ? { readonly body: z.output<B> }
  : object;

type RequestHeaders<R extends Route> = R extends {
  readonly headers: readonly (infer H extends RequestHeader)[];
}
  ? { readonly headers: { readonly [K in H]: string } }
  : object;
type Stream<R extends Route> = R extends { readonly stream: true } ? { readonly stream: ByteStream } : object;

/** What a handler receives: decoded, validated and defaulted. */
export type RouteInput<R extends Route, S> = Params<R> & Query<S> & Body<S> & RequestHeaders<R> & Stream<R>;
export type RouteOutput<S extends { readonly response: z.ZodType }> = z.output<S['response']>;

/** Who asks. */
export interface Caller {
  /** Only until the handler's first `await`: the transport frees the request then. */
  remoteAddress(): string;
  /** The caller left before it had its whole answer. To be called before the handler's first `await`. */
  onGone(listener: () => void): void;
}

/** One handler per route; a missing or an extra one is a compile error. */
export type Handlers<T extends RouteTable, S extends RouteSchemas<T>, Services> = {
  readonly [K in keyof T]: (
    input: RouteInput<T[K], S[K]>,
    services: Services,
    caller: Caller,
  ) => Answer<T[K], S[K]> | Promise<Answer<T[K], S[K]>>;
};

type Answer<R extends Route, S extends { readonly response: z.ZodType }> = R extends { readonly bytes: true }
  ? BytesReply
  : RouteOutput<S> | JsonReply<RouteOutput<S>>;

/**
 * Bytes as they come. Read once; leaving the loop early frees what is behind it. A chunk is valid until the next one is
 * asked for: its memory may be used again.
 */
export type ByteStream = AsyncIterable<Uint8Array>;

/** Marks an answer that is more than its JSON; by name, so that it holds across two copies of this module. */
export const REPLY = Symbol.for('openagent.reply');

/** Header names are lower case. `etag` is the bare version without quotes: the gateway quotes and compares it. */
export interface ReplyExtras {
  readonly status?: number;
  readonly etag?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface JsonReply<T> extends ReplyExtras {
  readonly [REPLY]: 'json';
  readonly output: T;
}

export interface BytesReply extends ReplyExtras {
  readonly [REPLY]: 'bytes';
  /** `length` undefined: it ends when the stream does, and is sent in chunks. */
  readonly body: string | Uint8Array | { readonly length: number | undefined; open(): ByteStream };
}

/** An answer with a status, a version or headers of its own. */
export function reply<T>(output: T, extras: ReplyExtras): JsonReply<T> {
  return { ...extras, output, [REPLY]: 'json' };
}

/** An answer that is no JSON; `headers` name its type. `open` is called only when the body is really sent. */
export function replyBytes(body: BytesReply['body'], extras: ReplyExtras): BytesReply {
  return { ...extras, body, [REPLY]: 'bytes' };
}

/** The same answer where its JSON exists as bytes already, as a long list that is kept does: it goes out as it is. */
export function replyEncoded<T>(json: Uint8Array, extras: ReplyExtras): JsonReply<T> {
  const headers = { ...extras.headers, 'content-type': 'application/json; charset=utf-8' };
  const bytes: BytesReply = replyBytes(json, { ...extras, headers });
  return bytes as unknown as JsonReply<T>;
}

/** A stream in place of the JSON that the route's schema describes, for callers that asked for one; see `replyBytes`. */
export function replyStream<T>(open: () => ByteStream, extras: ReplyExtras): JsonReply<T> {
  return replyBytes({ length: undefined, open }, extras) as unknown as JsonReply<T>;
}
