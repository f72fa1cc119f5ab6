/** What a program has printed, as far as it is kept: the newest part, by position, so that a reader can go on. */
export class ProgramOutput {
  readonly #charsMax: number;
  #text = '';
  /** Characters that were printed before what is kept. */
  #dropped = 0;

  constructor(charsMax: number) {
    this.#charsMax = charsMax;
  }

  /** Position behind everything that was printed. */
  get end(): number {
    return this.#dropped + this.#text.length;
  }

  add(text: string): void {
    this.#text += text;
    // Twice as much before it is cut: cutting copies.
    if (this.#text.length <= this.#charsMax * 2) return;
    const surplus = this.#text.length - this.#charsMax;
    this.#text = this.#text.slice(surplus);
    this.#dropped += surplus;
  }

  /** What stands behind a position; `missed`: characters that are not kept any more. */
  from(position: number): { readonly text: string; readonly missed: number } {
    const start = Math.max(position, this.end - this.#charsMax, this.#dropped);
    return { text: this.#text.slice(start - this.#dropped), missed: Math.max(0, start - position) };
  }
}
