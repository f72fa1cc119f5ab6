/**
 * Finds links and tags in the text of one block. What is in code, formulas and comments is passed over. One pass: every
 * search for a closing mark either moves on or is remembered, so that no text takes longer than its length.
 */
import type { TextBlock } from './markdown-blocks.ts';

export interface InlineLink {
  readonly syntax: 'wiki' | 'markdown';
  readonly isEmbed: boolean;
  /** Target as written, with heading and block, without alias. */
  readonly target: string;
  readonly alias?: string;
  /** Where the target stands in the note. */
  readonly start: number;
  readonly end: number;
}

export interface InlineSink {
  link(link: InlineLink): void;
  tag(tag: string): void;
}

/** Longer targets are text. */
const TARGET_MAX = 1_000;
const SPECIAL = /[\\`[\]#$%<]/g;
/** What may not be in a tag. Everything else may, emoji too. */
const TAG_END = /[\u2000-\u206F\u2E00-\u2E7F'!"#$%&()*+,.:;<=>?@^`{|}~[\]\\\s]/g;

export function scanInlines(text: string, block: TextBlock, sink: InlineSink): void {
  new InlineScanner(joinSpans(text, block.spans), block.spans, sink).scan();
}

/** The lines of a block, without quote marks and indentation. */
export function joinSpans(text: string, spans: readonly number[]): string {
  if (spans.length === 2) return text.slice(spans[0], spans[1]);
  const lines: string[] = [];
  for (let at = 0; at < spans.length; at += 2) lines.push(text.slice(spans[at], spans[at + 1]));
  return lines.join('\n');
}

class InlineScanner {
  readonly #text: string;
  readonly #spans: readonly number[];
  readonly #sink: InlineSink;
  readonly #missing = new Set<string>();
  /** For each length of a run of backticks, where the runs begin; made when the first is met. */
  #ticks: Map<number, number[]> | undefined;
  #mathEnd = -1;
  #openBrackets: number[] = [];
  #span = 0;
  #spanStart = 0;

  constructor(text: string, spans: readonly number[], sink: InlineSink) {
    this.#text = text;
    this.#spans = spans;
    this.#sink = sink;
  }

  scan(): void {
    let at = 0;
    while (true) {
      SPECIAL.lastIndex = at;
      const found = SPECIAL.exec(this.#text);
      if (found === null) return;
      at = this.#read(found[0], found.index);
    }
  }

  /** Offset to go on from. */
  #read(mark: string, at: number): number {
    switch (mark) {
      case '\\':
        return at + 2;
      case '`':
        return this.#code(at);
      case '[':
        return this.#open(at);
      case ']':
        return this.#close(at);
      case '#':
        return this.#tag(at);
      case '$':
        return this.#math(at);
      case '%':
        return this.#skipTo('%%', '%%', at);
      default:
        return this.#skipTo('<!--', '-->', at);
    }
  }

  #code(at: number): number {
    const text = this.#text;
    let end = at;
    while (text[end] === '`') end += 1;
    const starts = this.#runs().get(end - at) ?? [];
    // Asked for from left to right: what lies behind is never looked at again.
    let first = starts.length - 1;
    while (first >= 0 && (starts[first] as number) < end) {
      starts.pop();
      first -= 1;
    }
    const close = starts[first];
    return close === undefined ? end : close + (end - at);
  }

  /** Runs of backticks by length, the last one first. */
  #runs(): Map<number, number[]> {
    if (this.#ticks !== undefined) return this.#ticks;
    const runs = new Map<number, number[]>();
    for (const { 0: run, index } of [...this.#text.matchAll(/`+/g)].reverse()) {
      const starts = runs.get(run.length);
      if (starts === undefined) runs.set(run.length, [index]);
      else starts.push(index);
    }
    this.#ticks = runs;
    return runs;
  }

  #open(at: number): number {
    if (this.#text[at + 1] === '[') {
      const end = this.#wikilink(at);
      if (end !== undefined) return end;
    }
    this.#openBrackets.push(at);
    return at + 1;
  }

  /** `[[target|alias]]` on one line, without brackets in the target. */
  #wikilink(at: number): number | undefined {
    const text = this.#text;
    const start = at + 2;
    let end = start;
    let bar = -1;
    for (; ; end += 1) {
      const char = text[end];
      if (char === undefined || char === '\n') return undefined;
      if (char === ']' && text[end + 1] === ']') break;
      if (bar === -1 && (char === '[' || char === ']' || end - start > TARGET_MAX)) return undefined;
      if (char === '[' && text[end + 1] === '[') return undefined;
      if (char === '|' && bar === -1) bar = end;
    }
    let targetEnd = bar === -1 ? end : bar;
    // In a table the bar is escaped.
    if (bar !== -1 && text[bar - 1] === '\\') targetEnd -= 1;
    const target = text.slice(start, targetEnd);
    if (target.trim() === '') return undefined;
    this.#sink.link({
      syntax: 'wiki',
      isEmbed: text[at - 1] === '!' && text[at - 2] !== '\\',
      target,
      ...(bar === -1 ? {} : { alias: text.slice(bar + 1, end).trim() }),
      start: this.#inNote(start),
      end: this.#inNote(start) + target.length,
    });
    return end + 2;
  }

  /** `](destination "title")` ends the link that the nearest open bracket began. */
  #close(at: number): number {
    const open = this.#openBrackets.pop();
    if (open === undefined || this.#text[at + 1] !== '(') return at + 1;
    let start = at + 2;
    while (isBlank(this.#text[start])) start += 1;
    const end = this.#text[start] === '<' ? this.#angleEnd(start + 1) : this.#destinationEnd(start);
    if (end === undefined) return at + 1;
    if (this.#text[start] === '<') start += 1;
    if (end > start) {
      this.#sink.link({
        syntax: 'markdown',
        isEmbed: this.#text[open - 1] === '!' && this.#text[open - 2] !== '\\',
        target: this.#text.slice(start, end),
        alias: this.#text.slice(open + 1, Math.min(at, open + 1 + TARGET_MAX)),
        start: this.#inNote(start),
        end: this.#inNote(start) + end - start,
      });
    }
    return end;
  }

  #angleEnd(start: number): number | undefined {
    for (let at = start; at - start < TARGET_MAX; at += 1) {
      const char = this.#text[at];
      if (char === '>') return at;
      if (char === undefined || char === '\n' || char === '<' || char === ']') return undefined;
    }
    return undefined;
  }

  /** Parentheses within must be in pairs, and the link must be closed, by a title at most. */
  #destinationEnd(start: number): number | undefined {
    let depth = 0;
    for (let at = start; at - start < TARGET_MAX; at += 1) {
      const char = this.#text[at];
      if (char === ')' && depth === 0) return at;
      if (char === undefined || char === '\n') return undefined;
      if (isBlank(char)) return /^[ \t]*\n?[ \t]*["'()]/.test(this.#text.slice(at, at + 16)) ? at : undefined;
      if (char === ']' && this.#text[at + 1] === '(') return undefined;
      if (char === '(') depth += 1;
      if (char === ')') depth -= 1;
    }
    return undefined;
  }

  #tag(at: number): number {
    if (at > 0 && !isBlank(this.#text[at - 1]) && this.#text[at - 1] !== '\n') return at + 1;
    TAG_END.lastIndex = at + 1;
    const end = TAG_END.exec(this.#text)?.index ?? this.#text.length;
    const tag = this.#text.slice(at + 1, end);
    if (end - at <= TARGET_MAX && isTag(tag)) this.#sink.tag(tag);
    return Math.max(end, at + 1);
  }

  /** `$x$` with nothing blank inside its marks, `$$ x $$`. A price is no formula. */
  #math(at: number): number {
    const text = this.#text;
    if (text[at + 1] === '$') return this.#skipTo('$$', '$$', at);
    if (isBlank(text[at + 1]) || text[at + 1] === '\n') return at + 1;
    if (this.#mathEnd <= at + 1 && !this.#missing.has('$')) this.#mathEnd = this.#nextMathEnd(at + 2);
    return this.#mathEnd > at + 1 ? this.#mathEnd + 1 : at + 1;
  }

  #nextMathEnd(from: number): number {
    const text = this.#text;
    for (let at = text.indexOf('$', from); at !== -1; at = text.indexOf('$', at + 1)) {
      const [before, after] = [text[at - 1] as string, text[at + 1] ?? ''];
      if (!isBlank(before) && before !== '\n' && before !== '\\' && !(after >= '0' && after <= '9'))
        return at;
    }
    this.#missing.add('$');
    return -1;
  }

  #skipTo(open: string, close: string, at: number): number {
    if (!this.#text.startsWith(open, at) || this.#missing.has(open)) return at + 1;
    const end = this.#text.indexOf(close, at + open.length);
    if (end !== -1) return end + close.length;
    this.#missing.add(open);
    return at + open.length;
  }

  /** From the joined lines to the note. Asked for from left to right. */
  #inNote(offset: number): number {
    const spans = this.#spans;
    while (this.#span + 2 < spans.length) {
      const next = this.#spanStart + (spans[this.#span + 1] as number) - (spans[this.#span] as number) + 1;
      if (offset < next) break;
      this.#spanStart = next;
      this.#span += 2;
    }
    return (spans[this.#span] as number) + offset - this.#spanStart;
  }
}

const isBlank = (char: string | undefined) => char === ' ' || char === '\t';

/** Not digits alone, as Obsidian has it; `2026/11` is a tag within a tag. */
export function isTag(tag: string): boolean {
  return /[^\d/]|\d\/\d/.test(tag);
}
