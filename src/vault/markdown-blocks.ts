/**
 * Cuts Markdown into the blocks whose text may hold links and tags: paragraphs and headings, wherever they are in
 * quotes and lists. Code (fenced and indented), block comments and block math are left out. CommonMark's rules, in one
 * pass whose time is proportional to the text: libraries need 0.5 ms for a note of 2 KB, and seconds for 60 KB made to
 * hurt, in the thread that holds the conversations. `test/vault/markdown-property.test.ts` compares this with one.
 */

export interface TextBlock {
  /** 1 to 6, or 0 for a paragraph. */
  readonly level: number;
  /** Pairs of offsets into the text, one pair per line: where the line's own text begins and ends. */
  readonly spans: readonly number[];
}

/** A list item holds lines indented by so many columns; a quote is 0. */
type Container = number;

interface Fence {
  readonly char: number;
  readonly length: number;
}

/** Deeper nesting is read as text: a blank line costs a step for each open list. */
const DEPTH_MAX = 64;
const [TAB, LF, CR, SPACE, HASH, DOLLAR, PERCENT] = [9, 10, 13, 32, 35, 36, 37];
const [STAR, PLUS, DASH, DOT, PAREN, LESS, EQUALS, GREATER] = [42, 43, 45, 46, 41, 60, 61, 62];
const [UNDERSCORE, BACKTICK, TILDE] = [95, 96, 126];
const CLOSING: ReadonlyMap<number, readonly [open: string, close: string]> = new Map([
  [DOLLAR, ['$$', '$$']],
  [PERCENT, ['%%', '%%']],
  [LESS, ['<!--', '-->']],
]);

/** Blocks in order of appearance. */
export function textBlocks(text: string, from = 0): readonly TextBlock[] {
  const scanner = new BlockScanner(text, from);
  while (scanner.pos < text.length) scanner.readLine();
  scanner.endParagraph();
  return scanner.blocks;
}

const isDigit = (char: number) => char >= 48 && char <= 57;
const isSpace = (char: number) => char === SPACE || char === TAB;

class BlockScanner {
  readonly blocks: TextBlock[] = [];
  pos: number;
  readonly #text: string;
  readonly #containers: Container[] = [];
  /** Closers that do not occur again: looked for once, not once a line. */
  readonly #missing = new Set<string>();
  #paragraph: number[] | undefined;
  #fence: Fence | undefined;
  /** End of the line being read, without its line break. */
  #end = 0;
  #next = 0;
  /** Whether the innermost list item has nothing yet: then a blank line ends it. */
  #isItemEmpty = false;
  /** Columns from the line's start to `pos`: a tab reaches to the next multiple of four. */
  #column = 0;

  constructor(text: string, from: number) {
    this.#text = text;
    this.pos = from;
  }

  readLine(): void {
    const lineBreak = this.#text.indexOf('\n', this.pos);
    this.#next = lineBreak === -1 ? this.#text.length : lineBreak + 1;
    this.#end = lineBreak === -1 ? this.#text.length : lineBreak;
    if (this.#end > this.pos && this.#at(this.#end - 1) === CR) this.#end -= 1;
    this.#column = 0;
    this.#readContent(this.#matchContainers());
    this.pos = this.#next;
  }

  endParagraph(): void {
    if (this.#paragraph !== undefined) this.blocks.push({ level: 0, spans: this.#paragraph });
    this.#paragraph = undefined;
  }

  /** How many of the open containers go on in this line. */
  #matchContainers(): number {
    let matched = 0;
    for (const container of this.#containers) {
      const indent = this.#indent();
      if (container === 0) {
        if (indent > 3 || this.#charAfterIndent() !== GREATER) break;
        this.#takeQuoteMark();
      } else if (!this.#isBlank()) {
        if (indent < container) break;
        this.#takeColumns(container);
      } else if (this.#isItemEmpty && matched === this.#containers.length - 1) break;
      matched += 1;
    }
    return matched;
  }

  #readContent(matched: number): void {
    if (this.#fence !== undefined && matched === this.#containers.length) {
      if (this.#closesFence(this.#fence)) this.#fence = undefined;
      return;
    }
    let isContinued = matched === this.#containers.length;
    const leave = () => {
      if (isContinued) return;
      this.endParagraph();
      this.#fence = undefined;
      this.#containers.length = matched;
      isContinued = true;
    };
    this.#isItemEmpty = false;
    // Only a paragraph may go on in a line that left its containers.
    if (!isContinued && this.#paragraph === undefined) leave();
    while (this.#containers.length < DEPTH_MAX && this.#indent() <= 3 && !this.#isBlank()) {
      const isUnderline = isContinued && this.#isUnderline();
      if (isUnderline || this.#isRule()) break;
      if (this.#charAfterIndent() === GREATER) {
        leave();
        this.endParagraph();
        this.#takeQuoteMark();
        this.#containers.push(0);
      } else {
        const item = this.#listItem(isContinued && this.#paragraph !== undefined);
        if (item === undefined) break;
        leave();
        this.endParagraph();
        this.#takeColumns(item);
        this.#containers.push(item);
        this.#isItemEmpty = this.#isBlank();
      }
    }
    this.#readLeaf(isContinued, leave);
  }

  #readLeaf(isContinued: boolean, leave: () => void): void {
    if (this.#isBlank()) {
      leave();
      this.endParagraph();
      return;
    }
    if (this.#indent() > 3) {
      if (this.#paragraph !== undefined) this.#addText();
      return;
    }
    if (isContinued && this.#isUnderline()) return this.#endAsHeading();
    if (this.#isRule() || this.#readHeading(leave) || this.#opensFence(leave) || this.#skipMultiline(leave)) {
      leave();
      this.endParagraph();
      return;
    }
    this.#addText();
  }

  #addText(): void {
    this.#skipSpaces();
    this.#paragraph ??= [];
    this.#paragraph.push(this.pos, this.#end);
  }

  /** `===` or `---` below a paragraph. */
  #isUnderline(): boolean {
    if (this.#paragraph === undefined) return false;
    let at = this.#indentEnd();
    const char = this.#at(at);
    if (char !== EQUALS && char !== DASH) return false;
    while (this.#at(at) === char && at < this.#end) at += 1;
    return this.#isBlankFrom(at);
  }

  #endAsHeading(): void {
    const level = this.#charAfterIndent() === EQUALS ? 1 : 2;
    this.blocks.push({ level, spans: this.#paragraph ?? [] });
    this.#paragraph = undefined;
  }

  #isRule(): boolean {
    let at = this.#indentEnd();
    const char = this.#at(at);
    if (char !== STAR && char !== DASH && char !== UNDERSCORE) return false;
    let count = 0;
    for (; at < this.#end; at += 1) {
      if (this.#at(at) === char) count += 1;
      else if (!isSpace(this.#at(at))) return false;
    }
    return count >= 3;
  }

  #readHeading(leave: () => void): boolean {
    const start = this.#indentEnd();
    let at = start;
    while (at < this.#end && this.#at(at) === HASH) at += 1;
    const level = at - start;
    if (level < 1 || level > 6 || (at < this.#end && !isSpace(this.#at(at)))) return false;
    while (at < this.#end && isSpace(this.#at(at))) at += 1;
    let end = this.#trimmedEnd(at, this.#end);
    let mark = end;
    while (mark > at && this.#at(mark - 1) === HASH) mark -= 1;
    if (mark === at || isSpace(this.#at(mark - 1))) end = this.#trimmedEnd(at, mark);
    leave();
    this.endParagraph();
    this.blocks.push({ level, spans: [at, end] });
    return true;
  }

  #opensFence(leave: () => void): boolean {
    const start = this.#indentEnd();
    const char = this.#at(start);
    if (char !== BACKTICK && char !== TILDE) return false;
    let at = start;
    while (at < this.#end && this.#at(at) === char) at += 1;
    if (at - start < 3) return false;
    for (let rest = at; char === BACKTICK && rest < this.#end; rest += 1) {
      if (this.#at(rest) === BACKTICK) return false;
    }
    leave();
    this.#fence = { char, length: at - start };
    return true;
  }

  #closesFence({ char, length }: Fence): boolean {
    if (this.#indent() > 3) return false;
    const start = this.#indentEnd();
    let at = start;
    while (at < this.#end && this.#at(at) === char) at += 1;
    return at - start >= length && this.#isBlankFrom(at);
  }

  /** A comment or formula that begins a line and ends on a later one. What never ends is text. */
  #skipMultiline(leave: () => void): boolean {
    const start = this.#indentEnd();
    const [open, close] = CLOSING.get(this.#at(start)) ?? [];
    if (open === undefined || close === undefined || this.#missing.has(open)) return false;
    if (!this.#text.startsWith(open, start)) return false;
    const closed = this.#text.indexOf(close, start + open.length);
    if (closed === -1) this.#missing.add(open);
    if (closed === -1 || closed < this.#end) return false;
    leave();
    this.#next = closed + close.length;
    return true;
  }

  /** Columns up to the text of a list item that begins here. Not every item may cut a paragraph in two. */
  #listItem(interrupts: boolean): number | undefined {
    const start = this.#indentEnd();
    let at = start;
    const char = this.#at(at);
    if (char === STAR || char === PLUS || char === DASH) at += 1;
    else {
      while (at - start < 9 && at < this.#end && isDigit(this.#at(at))) at += 1;
      if (at === start || at >= this.#end || (this.#at(at) !== DOT && this.#at(at) !== PAREN))
        return undefined;
      at += 1;
    }
    if (at < this.#end && !isSpace(this.#at(at))) return undefined;
    const isEmpty = this.#isBlankFrom(at);
    const startsAtOne = !isDigit(char) || (at - start === 2 && char === 49);
    if (interrupts && (isEmpty || !startsAtOne)) return undefined;
    const marked = this.#indent() + at - start;
    const spaces = this.#columnsOfSpace(at, this.#column + marked);
    return marked + (isEmpty || spaces > 4 ? 1 : spaces);
  }

  #takeQuoteMark(): void {
    this.#skipSpaces();
    this.pos += 1;
    this.#column += 1;
    if (this.pos < this.#end && isSpace(this.#at(this.pos))) this.#takeColumns(1);
  }

  #takeColumns(count: number): void {
    const until = this.#column + count;
    while (this.#column < until && this.pos < this.#end) {
      if (this.#at(this.pos) !== TAB) {
        this.pos += 1;
        this.#column += 1;
        continue;
      }
      const stop = this.#column + 4 - (this.#column % 4);
      // A tab may be taken in part: what is left of it indents what follows.
      if (stop <= until) this.pos += 1;
      this.#column = Math.min(stop, until);
    }
  }

  #skipSpaces(): void {
    this.#takeColumns(this.#indent());
  }

  #at(offset: number): number {
    return this.#text.charCodeAt(offset);
  }

  #indent(): number {
    return this.#columnsOfSpace(this.pos, this.#column);
  }

  #columnsOfSpace(from: number, fromColumn: number): number {
    let column = fromColumn;
    for (let at = from; at < this.#end && isSpace(this.#at(at)); at += 1) {
      column += this.#at(at) === TAB ? 4 - (column % 4) : 1;
    }
    return column - fromColumn;
  }

  #indentEnd(): number {
    let at = this.pos;
    while (at < this.#end && isSpace(this.#at(at))) at += 1;
    return at;
  }

  /** The line break counts as one where nothing else is left. */
  #charAfterIndent(): number {
    const at = this.#indentEnd();
    return at < this.#end ? this.#at(at) : LF;
  }

  #isBlank(): boolean {
    return this.#isBlankFrom(this.pos);
  }

  #isBlankFrom(from: number): boolean {
    let at = from;
    while (at < this.#end && isSpace(this.#at(at))) at += 1;
    return at >= this.#end;
  }

  #trimmedEnd(start: number, from: number): number {
    let end = from;
    while (end > start && isSpace(this.#at(end - 1))) end -= 1;
    return end;
  }
}
