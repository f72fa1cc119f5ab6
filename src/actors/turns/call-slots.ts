/**
 * How many model calls run at once; the others wait in order. One that pauses before it tries again gives its slot away
 * meanwhile: a provider that refuses everybody for half a minute would keep out those who ask another one. p-queue bounds the starts of agents; here, once a turn, its
 * symbol, Map entry, promises and events for each call were a tenth of all that a turn of the echo model costs.
 */
/** Waits without a slot, then for a slot again, behind those who came meanwhile. Rejects as `pause` does. */
export type Rest = (pause: () => Promise<void>) => Promise<void>;

export class CallSlots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Calls `work` before it returns when a slot is free. Settles as `work` does. */
  async run(work: (rest: Rest) => Promise<void>): Promise<void> {
    if (!this.#take()) await this.#turn();
    let [isHeld, isOver] = [true, false];
    const rest: Rest = async (pause) => {
      isHeld = false;
      this.#give();
      await pause();
      if (!this.#take()) await this.#turn();
      // Ended from outside while it waited.
      if (isOver) this.#give();
      else isHeld = true;
    };
    try {
      await work(rest);
    } finally {
      isOver = true;
      if (isHeld) this.#give();
    }
  }

  #take(): boolean {
    if (this.#free === 0) return false;
    this.#free -= 1;
    return true;
  }

  #turn(): Promise<void> {
    return new Promise<void>((resolve) => void this.#waiting.push(resolve));
  }

  /** A slot goes from hand to hand, so that nobody who comes later can take it. */
  #give(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free += 1;
  }
}
