/**
 * How many model calls run at once; the others wait in order. p-queue bounds the starts of agents; here, once a turn, its
 * symbol, Map entry, promises and events for each call were a tenth of all that a turn of the echo model costs.
 */
export class CallSlots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Calls `work` before it returns when a slot is free. Settles as `work` does. */
  async run(work: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    try {
      await work();
    } finally {
      // A slot goes from hand to hand, so that nobody who comes later can take it.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}
