/** What a model can read of a web page: its text in order, with links, without scripts and styles. */
import { convert, type HtmlToTextOptions } from 'html-to-text';

const HTML = ['text/html', 'application/xhtml+xml'];
const TEXT =
  /^(?:text\/|application\/(?:json|xml|javascript|ecmascript|yaml|x-yaml|toml|x-ndjson|rss\+xml)$)|\+(?:json|xml|yaml)$/;
/** Where a page may say its encoding. */
const SNIFFED_BYTES = 1_024;
/** Of HTML: beyond this nobody reads on, and reading blocks the agent's thread. */
const HTML_CHARS = 1024 * 1024;

const OPTIONS: HtmlToTextOptions = {
  wordwrap: false,
  limits: { maxInputLength: HTML_CHARS, maxDepth: 200, maxChildNodes: 20_000 },
  selectors: [
    { selector: 'a', options: { ignoreHref: false, noAnchorUrl: true, hideLinkHrefIfSameAsText: true } },
    { selector: 'img', format: 'skip' },
    { selector: 'svg', format: 'skip' },
    { selector: 'noscript', format: 'skip' },
    { selector: 'template', format: 'skip' },
    { selector: 'table', format: 'dataTable' },
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
  ],
};

/** `text/html; charset=x` → `text/html`. */
export function mediaTypeOf(contentType: string | undefined): string {
  return contentType?.split(';')[0]?.trim().toLowerCase() ?? '';
}

/** Undefined: it is no text. */
export function toPageText(
  bytes: Uint8Array,
  contentType: string | undefined,
  isRaw: boolean,
): string | undefined {
  const type = mediaTypeOf(contentType) || guessType(bytes);
  const isHtml = HTML.includes(type);
  if (!isHtml && !TEXT.test(type)) return undefined;
  const text = decode(bytes, contentType, isHtml);
  return isHtml && !isRaw ? convert(text.slice(0, HTML_CHARS), OPTIONS).trim() : text;
}

function guessType(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.subarray(0, SNIFFED_BYTES)).toString('latin1');
  if (head.includes('\0')) return 'application/octet-stream';
  return /<(?:!doctype html|html|head|body)\b/i.test(head) ? 'text/html' : 'text/plain';
}

function decode(bytes: Uint8Array, contentType: string | undefined, isHtml: boolean): string {
  const head = Buffer.from(bytes.subarray(0, SNIFFED_BYTES)).toString('latin1');
  const said = /charset\s*=\s*"?([\w:.-]+)/i.exec(contentType ?? '')?.[1];
  const meta = isHtml ? /<meta[^>]{0,200}charset\s*=\s*["']?([\w:.-]+)/i.exec(head)?.[1] : undefined;
  try {
    return new TextDecoder(said ?? meta ?? 'utf-8').decode(bytes);
  } catch {
    // An encoding nobody knows: most of it is readable all the same.
    return new TextDecoder().decode(bytes);
  }
}
