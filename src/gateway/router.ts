/**
 * From method and path to a route. Compiled once at start; a path without parameters, which is every path polled often,
 * is found by one Map lookup on the string as it was sent.
 */
import { AppError } from '../contract/errors.ts';
import type { Caller, Route, RouteTable } from '../contract/route.ts';

/** A handler with its types taken off: `createHttpApp` has checked them against the table. */
export type AnyHandler = (input: unknown, services: unknown, caller: Caller) => unknown;

export interface CompiledRoute {
  readonly name: string;
  readonly row: Route;
  readonly handler: AnyHandler;
  /** The handler asks for more than what stands in the path. */
  readonly takesInput: boolean;
}

export interface PathMatch {
  readonly path: CompiledPath;
  readonly params: Readonly<Record<string, string>> | undefined;
}

export interface CompiledPath {
  readonly routes: ReadonlyMap<string, CompiledRoute>;
  /** Value of the `Allow` header. */
  readonly allow: string;
}

export interface Router {
  /** Undefined when no route has this path, whatever the method. */
  find(path: string): PathMatch | undefined;
}

export function createRouter(rows: RouteTable, handlers: Readonly<Record<string, AnyHandler>>): Router {
  const exact = new Map<string, PathMatch>();
  const patterns: { readonly regExp: RegExp; readonly path: CompiledPath }[] = [];
  for (const [path, compiled] of compilePaths(rows, handlers)) {
    if (path.includes('{')) patterns.push({ regExp: patternOf(path), path: compiled });
    else exact.set(path, { path: compiled, params: undefined });
  }
  return {
    find(path) {
      const match = exact.get(path);
      if (match !== undefined || patterns.length === 0) return match;
      for (const pattern of patterns) {
        const groups = pattern.regExp.exec(path)?.groups;
        if (groups) return { path: pattern.path, params: decodeParams(groups) };
      }
      return undefined;
    },
  };
}

/** In the order of the table: where two patterns match, the first one wins. */
function compilePaths(
  rows: RouteTable,
  handlers: Readonly<Record<string, AnyHandler>>,
): Map<string, CompiledPath> {
  const byPath = new Map<string, Map<string, CompiledRoute>>();
  for (const [name, row] of Object.entries(rows)) {
    const handler = handlers[name];
    if (!handler) throw new Error(`Route ${name} has no handler`);
    const routes = byPath.get(row.path) ?? new Map<string, CompiledRoute>();
    if (routes.has(row.method)) throw new Error(`${row.method} ${row.path} stands twice in the route table`);
    const takesInput = Boolean(row.query || row.body || row.headers || row.stream);
    byPath.set(row.path, routes.set(row.method, { name, row, handler, takesInput }));
  }
  return new Map(
    [...byPath].map(([path, routes]) => {
      const methods = [...routes.keys()].flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
      return [path, { routes, allow: [...methods, 'OPTIONS'].join(', ') }];
    }),
  );
}

function patternOf(path: string): RegExp {
  const source = path
    .split(/(\{\w+\*?\})/)
    .map((part) => {
      const [, name, greedy] = /^\{(\w+)(\*?)\}$/.exec(part) ?? [];
      if (name === undefined) return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      return `(?<${name}>${greedy === '*' ? '.+' : '[^/]+'})`;
    })
    .join('');
  return new RegExp(`^${source}$`);
}

function decodeParams(groups: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(groups).map(([name, value]) => [name, decodeParam(name, value)] as const),
  );
}

function decodeParam(name: string, value: string): string {
  try {
    return decodeURIComponent(value);
  } catch (cause) {
    throw new AppError('request.invalid', `Path parameter ${name} is not valid percent-encoded UTF-8`, {
      details: { issues: [{ field: `path.${name}`, message: 'not valid percent-encoded UTF-8' }] },
      cause,
    });
  }
}
