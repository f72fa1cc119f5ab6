/** Makes the documents and the page. Brings zod and all schemas: reached by `import()`, on the first request for one. */
import { createHash } from 'node:crypto';
import { toAsyncApi } from '../../contract/asyncapi.ts';
import { toOpenApi } from '../../contract/openapi.ts';
import { ROUTE_SCHEMAS } from '../../contract/route-schemas.ts';
import { ROUTES } from '../../contract/routes.ts';
import { renderDocs } from './docs-page.ts';
import { PAGE_STYLE } from './docs-style.ts';

export interface DocumentOptions {
  readonly version: string;
  /** The one the agent listens on. */
  readonly port: number;
}

export function makeDocuments({ version, port }: DocumentOptions) {
  const openApi = toOpenApi({ version, routes: ROUTES, schemas: ROUTE_SCHEMAS });
  const asyncApi = toAsyncApi({ version, port });
  const page = renderDocs(openApi, asyncApi);
  return { openApi, asyncApi, page, policy: pagePolicy(), etag: digest(JSON.stringify(openApi), page) };
}

/** Nothing may be loaded, run, framed or sent; only the page's own style counts. */
function pagePolicy(): string {
  const style = createHash('sha256').update(PAGE_STYLE).digest('base64');
  const nothing = ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"];
  return [...nothing, `style-src 'sha256-${style}'`].join('; ');
}

function digest(...parts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('base64url').slice(0, 16);
}
