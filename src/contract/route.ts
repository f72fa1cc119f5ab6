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
  /** Besides those that every route can answer (access rules, authentication, limits). */
  readonly errors: readonly ErrorCode[];
}

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

/** What a handler receives: decoded, validated and defaulted. */
export type RouteInput<R extends Route, S> = Params<R> & Query<S> & Body<S>;
export type RouteOutput<S extends { readonly response: z.ZodType }> = z.output<S['response']>;

/** Who asks. */
export interface Caller {
  /** Only until the handler's first `await`: the transport frees the request then. */
  remoteAddress(): string;
}

/** One handler per route; a missing or an extra one is a compile error. */
export type Handlers<T extends RouteTable, S extends RouteSchemas<T>, Services> = {
  readonly [K in keyof T]: (
    input: RouteInput<T[K], S[K]>,
    services: Services,
    caller: Caller,
  ) => RouteOutput<S[K]> | Promise<RouteOutput<S[K]>>;
};
