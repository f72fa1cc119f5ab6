/**
 * The readable page: REST and WebSocket of this agent in one HTML document without a script, a font or an image from
 * anywhere, so that it can be served under a policy that allows nothing but its own style. Made from the two documents
 * and nothing else. (The usual renderers are some megabytes of script, want inline styles, and know only OpenAPI.)
 */
import type { AsyncApiDocument, AsyncApiMessage } from '../../contract/asyncapi.ts';
import type { JsonSchema } from '../../contract/json-schema.ts';
import type { OpenApiDocument, OpenApiOperation, OpenApiParameter } from '../../contract/openapi.ts';
import { schemaText } from '../../contract/schema-text.ts';
import { PAGE_STYLE } from './docs-style.ts';

export function renderDocs(rest: OpenApiDocument, socket: AsyncApiDocument): string {
  const operations = operationsByTag(rest);
  const main = [
    `<h1>${text(rest.info.title)} <small>${text(rest.info.version)}</small></h1>`,
    '<p>As documents: <a href="/api/openapi.json">OpenAPI</a>, <a href="/api/asyncapi.json">AsyncAPI</a>.</p>',
    `<h2 id="rest">REST</h2>${paragraph(rest.info.description)}`,
    ...[...operations].map(([tag, rows]) => tagSection(tag, rows, rest)),
    `<h2 id="websocket">WebSocket <code>/ws</code></h2>${paragraph(socket.info.description)}`,
    frames('Frames from the client', 'client', socket),
    frames('Frames from the agent', 'server', socket),
    definitions('Close codes', 'close-codes', socket['x-close-codes']),
    definitions('Default limits', 'limits', socket['x-limits']),
  ];
  return page(rest.info.title, navigation([...operations.keys()]), main.join('\n'));
}

function page(title: string, nav: string, main: string): string {
  return [
    '<!doctype html>',
    '<html lang="en">',
    `<head><meta charset="utf-8"><title>${text(title)}: interface</title>`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<style>${PAGE_STYLE}</style></head>`,
    `<body><nav aria-label="Contents">${nav}</nav>\n<main>${main}</main></body>`,
    '</html>\n',
  ].join('\n');
}

function navigation(tags: readonly string[]): string {
  const link = (to: string, name: string): string => `<li><a href="#${text(to)}">${text(name)}</a></li>`;
  const rest = tags.map((tag) => link(`tag-${tag}`, tag)).join('');
  const frame = [link('client', 'from the client'), link('server', 'from the agent')].join('');
  const more = [link('close-codes', 'close codes'), link('limits', 'limits')].join('');
  return `<a href="#rest">REST</a><ul>${rest}</ul><a href="#websocket">WebSocket</a><ul>${frame}${more}</ul>`;
}

interface Row {
  readonly method: string;
  readonly path: string;
  readonly operation: OpenApiOperation;
}

function operationsByTag({ paths }: OpenApiDocument): ReadonlyMap<string, readonly Row[]> {
  const rows = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  );
  const byTag = new Map<string, Row[]>();
  for (const row of rows) {
    const tag = row.operation.tags[0] ?? '';
    byTag.set(tag, [...(byTag.get(tag) ?? []), row]);
  }
  return byTag;
}

function tagSection(tag: string, rows: readonly Row[], document: OpenApiDocument): string {
  const parts = rows.map((row) => operationSection(row, document)).join('\n');
  return `<section><h3 id="tag-${text(tag)}">${text(tag)}</h3>${parts}</section>`;
}

function operationSection({ method, path, operation }: Row, { components }: OpenApiDocument): string {
  const type = (schema: JsonSchema): string => `<pre>${text(schemaText(schema, components.schemas))}</pre>`;
  const [answer, ...others] = Object.entries(operation.responses);
  const body = Object.entries(operation.requestBody?.content ?? {}).map(
    ([media, { schema }]) => `<h5>Body <code>${text(media)}</code></h5>${type(schema)}`,
  );
  const content = Object.entries(answer?.[1].content ?? {}).map(
    ([media, { schema }]) => `<h5>Answer <code>${text(media)}</code></h5>${type(schema)}`,
  );
  const statuses = others.map(([status, { description }]) => [status, description] as const);
  const access = operation.security.length === 0 ? 'open to everyone' : 'token, where one is configured';
  return [
    `<article id="${text(operation.operationId)}">`,
    `<h4><span class="method ${text(method)}">${text(method.toUpperCase())}</span> <code>${text(path)}</code></h4>`,
    `<p>${marked(operation.summary)}. <span class="access">${access}</span></p>`,
    parameterTable(operation.parameters ?? []),
    ...body,
    ...content,
    `<details><summary>Other answers</summary>${definitionList(statuses)}</details></article>`,
  ].join('');
}

function parameterTable(parameters: readonly OpenApiParameter[]): string {
  if (parameters.length === 0) return '';
  const rows = parameters.map(({ name, in: where, required, description, schema }) => {
    const otherwise = schema.default === undefined ? '' : `, ${JSON.stringify(schema.default)} when absent`;
    const kind = `${schemaText(schema, {})}${required ? '' : ', optional'}${otherwise}`;
    const cells = [`<code>${text(name)}</code>`, text(where), text(kind), marked(description ?? '')];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  return `<table><thead><tr><th>Parameter</th><th>In</th><th>Type</th><th>Meaning</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function frames(title: string, side: 'client' | 'server', { components }: AsyncApiDocument): string {
  const own = Object.entries(components.messages).filter(([name]) => name.startsWith(`${side}.`));
  const parts = own.map(([name, message]) => frameSection(name, message, components.schemas)).join('\n');
  return `<section><h3 id="${side}">${title}</h3>${parts}</section>`;
}

function frameSection(
  name: string,
  { name: type, summary, payload }: AsyncApiMessage,
  schemas: Readonly<Record<string, JsonSchema>>,
): string {
  const shape = text(schemaText(payload, schemas));
  return `<article id="${text(name)}"><h4><code>${text(type)}</code></h4><p>${marked(summary)}.</p><pre>${shape}</pre></article>`;
}

function definitions(title: string, id: string, table: Readonly<Record<string, string | number>>): string {
  const rows = Object.entries(table).map(([key, value]) => [key, String(value)] as const);
  return `<section><h3 id="${id}">${title}</h3>${definitionList(rows)}</section>`;
}

function definitionList(rows: readonly (readonly [string, string])[]): string {
  const parts = rows.map(
    ([key, value]) => `<div><dt><code>${text(key)}</code></dt><dd>${marked(value)}</dd></div>`,
  );
  return `<dl>${parts.join('')}</dl>`;
}

function paragraph(description: string): string {
  return `<p>${marked(description)}</p>`;
}

/** Text in which `backticks` mark code. */
function marked(value: string): string {
  return text(value).replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function text(value: string): string {
  return value.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
