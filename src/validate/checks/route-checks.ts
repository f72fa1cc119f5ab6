/**
 * Checks made of the route table: every row is there, and every one that can be asked without knowing anything answers
 * as its schema says. A new row is checked without a word here.
 */

import type { AnyRouteSchema } from '../../contract/openapi.ts';
import type { Route } from '../../contract/route.ts';
import { ROUTE_SCHEMAS } from '../../contract/route-schemas.ts';
import { ROUTES } from '../../contract/routes.ts';
import { type Check, type CheckGroup, expectThat, Skipped, shown, Unexpected } from '../check.ts';
import type { HttpAnswer } from '../http-client.ts';
import type { Target } from '../target.ts';

const METHODS = ['PATCH', 'DELETE', 'PUT', 'POST', 'GET'] as const;
const rows: Readonly<Record<string, Route>> = ROUTES;
const schemas: Readonly<Record<string, AnyRouteSchema>> = ROUTE_SCHEMAS;

function concrete(path: string, target: Target): string {
  return path.replaceAll(/\{\w+\*?\}/g, target.mark);
}

/** Asked with a method that the path does not have: nothing can happen, and `Allow` tells what it has. */
function presence(path: string, methods: readonly string[]): Check {
  const wrong = METHODS.find((method) => !methods.includes(method)) ?? 'TRACE';
  return {
    name: `${path} is there`,
    expected: `${wrong} is 405 with \`Allow: ${methods.join(', ')}\``,
    isBeyond: true,
    async run(target) {
      const answer = await target.ask(concrete(path, target), { method: wrong });
      const allow = answer.header('allow');
      const seen = `${answer.summary}, allow: ${allow || '–'}`;
      if (target.isAbsent(answer)) refuseAbsence(target, path);
      const allowed = allow.split(/, ?/);
      expectThat(answer.status === 405 && methods.every((method) => allowed.includes(method)), seen);
      return `405, allow: ${allow}`;
    },
  };
}

/** Only a gateway of this very version must have all its routes. */
function refuseAbsence({ facts, options }: Target, path: string): never {
  if (facts.version === options.ownVersion) throw new Unexpected(`${path} is not there`);
  throw new Skipped(`this gateway has no ${path}`);
}

function plainGet(row: Route, schema: AnyRouteSchema | undefined): Check {
  return {
    name: `GET ${row.path} answers as described`,
    expected: row.bytes ? '200 with a type of its own' : '200 with the fields of its schema',
    async run(target) {
      const answer = await target.readIfThere(row.path);
      if (row.bytes) return bytesSeen(answer);
      const body = answer.json();
      // A gateway of the reference has fewer fields than ours promise.
      if (target.isReference) return shown(body);
      const issue = schema?.response.safeParse(body).error?.issues[0];
      expectThat(issue === undefined, `${issue?.path.join('.')}: ${issue?.message} in ${shown(body)}`);
      return shown(body);
    },
  };
}

function bytesSeen(answer: HttpAnswer): string {
  const type = answer.header('content-type');
  expectThat(type !== '', '200 without a content-type');
  return `${type}, ${answer.body.length} bytes`;
}

function headOf(row: Route): Check {
  return {
    name: `HEAD ${row.path} has the head of its GET`,
    expected: 'the same status and content-type, no body',
    isBeyond: true,
    async run(target) {
      const [get, head] = [await target.askIfThere(row.path), await target.ask(row.path, { method: 'HEAD' })];
      const seen = `${head.status}, ${head.header('content-type')}, ${head.body.length} bytes`;
      expectThat(head.status === get.status && head.body.length === 0, seen);
      expectThat(head.header('content-type') === get.header('content-type'), seen);
      return seen;
    },
  };
}

function guarded(row: Route): Check {
  return {
    name: `GET ${row.path} asks for the credential`,
    expected: '401 auth.required',
    isBeyond: true,
    isGuardedOnly: true,
    async run(target) {
      const answer = await target.askBare(concrete(row.path, target));
      if (target.isAbsent(answer)) refuseAbsence(target, row.path);
      expectThat(answer.status === 401 && answer.text.includes('auth.required'), answer.summary);
      return answer.summary;
    },
  };
}

function checksOfTable(): readonly Check[] {
  const byPath = new Map<string, string[]>();
  for (const { path, method } of Object.values(rows)) {
    byPath.set(path, [...(byPath.get(path) ?? []), method]);
  }
  const gets = Object.entries(rows).filter(([, { method }]) => method === 'GET');
  const plain = gets.filter(([name, { path }]) => {
    const query = schemas[name]?.query;
    return !path.includes('{') && (query === undefined || query.safeParse({}).success);
  });
  return [
    ...[...byPath].map(([path, methods]) => presence(path, methods)),
    ...plain.map(([name, row]) => plainGet(row, schemas[name])),
    ...plain.map(([, row]) => headOf(row)),
    ...gets.filter(([, { auth }]) => auth === 'token').map(([, row]) => guarded(row)),
  ];
}

export const ROUTE_CHECKS: CheckGroup = { area: 'routes', checks: checksOfTable() };
