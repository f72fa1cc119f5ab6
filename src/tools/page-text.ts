/**
 * What a model can read of a web page: its text in order, with links, without scripts and styles. The page is read in
 * pieces, with a bound on its depth and on the time: pages are made by strangers, and one that takes a parser for ever
 * would hang the agent.
 */
import { Parser } from 'htmlparser2';

const HTML = ['text/html', 'application/xhtml+xml'];
const TEXT =
  /^(?:text\/|application\/(?:json|xml|javascript|ecmascript|yaml|x-yaml|toml|x-ndjson|rss\+xml)$)|\+(?:json|xml|yaml)$/;
/** Where a page may say its encoding. */
const SNIFFED_BYTES = 1_024;
const PIECE_CHARS = 16 * 1024;
/** Elements within each other; parsers look through all of them for each end. */
const DEPTH_MAX = 1_000;
/** Of reading one page, other work in between not counted. */
const READING_MS = 1_000;

const SKIPPED = new Set(['script', 'style', 'noscript', 'template', 'svg', 'iframe', 'object', 'math']);
const BLOCKS = new Set(
  'address article aside blockquote dd details div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section table title tr ul'.split(
    ' ',
  ),
);
const VOID = new Set('area base br col embed hr img input link meta source track wbr'.split(' '));

export interface PageText {
  readonly text: string;
  /** What follows was not read. */
  readonly isCut: boolean;
}

/** `text/html; charset=x` → `text/html`. */
export function mediaTypeOf(contentType: string | undefined): string {
  return contentType?.split(';')[0]?.trim().toLowerCase() ?? '';
}

/** Undefined: it is no text. */
export async function toPageText(
  bytes: Uint8Array,
  contentType: string | undefined,
  isRaw: boolean,
): Promise<PageText | undefined> {
  const type = mediaTypeOf(contentType) || guessType(bytes);
  const isHtml = HTML.includes(type);
  if (!isHtml && !TEXT.test(type)) return undefined;
  const text = decode(bytes, contentType, isHtml);
  return isHtml && !isRaw ? readHtml(text) : { text, isCut: false };
}

async function readHtml(html: string): Promise<PageText> {
  const reader = new PageReader();
  let spentMs = 0;
  for (let at = 0; at < html.length; at += PIECE_CHARS) {
    const startMs = performance.now();
    reader.write(html.slice(at, at + PIECE_CHARS));
    spentMs += performance.now() - startMs;
    if (reader.isTooDeep || spentMs > READING_MS) return { text: reader.text(), isCut: true };
    // Others have work too.
    await new Promise((resolve) => setImmediate(resolve));
  }
  reader.end();
  return { text: reader.text(), isCut: reader.isTooDeep };
}

class PageReader {
  readonly #parser: Parser;
  #pieces: string[] = [];
  #depth = 0;
  #skipped: string | undefined;
  /** Elements of the skipped one's name within it. */
  #skippedDepth = 0;
  #preDepth = 0;
  #href: string | undefined;
  isTooDeep = false;

  constructor() {
    this.#parser = new Parser({
      onopentag: (name, attributes) => this.#open(name, attributes),
      ontext: (text) => this.#add(text),
      onclosetag: (name) => this.#close(name),
    });
  }

  write(html: string): void {
    if (!this.isTooDeep) this.#parser.write(html);
  }

  end(): void {
    if (!this.isTooDeep) this.#parser.end();
  }

  text(): string {
    const lines = this.#pieces.join('').split('\n');
    const kept: string[] = [];
    for (const line of lines.map((each) => each.trimEnd())) {
      if (line !== '' || (kept.length > 0 && kept.at(-1) !== '')) kept.push(line);
    }
    return kept.join('\n').trim();
  }

  #open(name: string, { href }: Readonly<Record<string, string>>): void {
    if (!VOID.has(name)) this.#depth += 1;
    if (this.#depth > DEPTH_MAX) {
      this.isTooDeep = true;
      // What is left of this piece too.
      this.#parser.pause();
    }
    if (this.#skipped !== undefined) {
      if (name === this.#skipped) this.#skippedDepth += 1;
      return;
    }
    if (SKIPPED.has(name)) {
      this.#skipped = name;
      this.#skippedDepth = 1;
    } else if (name === 'br') this.#pieces.push('\n');
    else if (BLOCKS.has(name)) this.#pieces.push(name === 'li' ? '\n- ' : '\n');
    if (name === 'pre') this.#preDepth += 1;
    if (name === 'a') this.#href = href;
  }

  #close(name: string): void {
    if (!VOID.has(name)) this.#depth -= 1;
    if (this.#skipped !== undefined) {
      if (name === this.#skipped) this.#skippedDepth -= 1;
      if (this.#skippedDepth === 0) this.#skipped = undefined;
      return;
    }
    if (name === 'pre') this.#preDepth -= 1;
    if (name === 'td' || name === 'th') this.#pieces.push(' | ');
    // An item ends its line; what comes next begins one of its own.
    else if (BLOCKS.has(name)) this.#pieces.push(name === 'li' || name === 'tr' ? '\n' : '\n\n');
    if (name === 'a' && this.#href !== undefined) {
      if (/^(?!#|javascript:|data:)./i.test(this.#href)) this.#pieces.push(` [${this.#href}]`);
      this.#href = undefined;
    }
  }

  #add(text: string): void {
    if (this.#skipped !== undefined) return;
    if (this.#preDepth > 0) return void this.#pieces.push(text);
    const plain = text.replaceAll(/\s+/g, ' ');
    const isAtStart = /[\s]$/.test(this.#pieces.at(-1) ?? '\n');
    this.#pieces.push(isAtStart && plain.startsWith(' ') ? plain.slice(1) : plain);
  }
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
