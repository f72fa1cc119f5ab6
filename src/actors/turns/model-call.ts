/**
 * One call of the model, which can be ended from outside at any moment, also when the provider does not listen. The
 * signal is made for a provider that looks at it: it costs more than all the rest of a turn of the echo model.
 */
import type { ModelMessage, ModelRequest } from '../../models/provider.ts';

export class ModelCall implements ModelRequest {
  readonly model = undefined;
  readonly system: string;
  readonly messages: readonly ModelMessage[];
  #controller: AbortController | undefined;
  #cause: Error | undefined;
  #reject: ((cause: Error) => void) | undefined;

  constructor(system: string, messages: readonly ModelMessage[]) {
    this.system = system;
    this.messages = messages;
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#cause) this.#controller.abort(this.#cause);
    }
    return this.#controller.signal;
  }

  /** Why it was ended from outside; undefined while it was not. */
  get cause(): Error | undefined {
    return this.#cause;
  }

  abort(cause: Error): void {
    this.#cause ??= cause;
    this.#controller?.abort(cause);
    this.#reject?.(cause);
  }

  /** As `work`, but rejects with the cause as soon as the call is ended. */
  untilAborted<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      work.then(resolve, reject);
    });
  }
}
