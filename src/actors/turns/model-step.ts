/** One step of a turn that thinks: the model is called once, metered, and what it says is passed on as it comes. */
import type { Clock } from '../../contract/clock.ts';
import { AppError, type ErrorCode } from '../../contract/errors.ts';
import type { FinishReason, ModelProvider, ModelRequest, ToolCall } from '../../models/provider.ts';
import type { CallMeter } from './mind.ts';

export interface StepResult {
  readonly text: string;
  readonly calls: readonly ToolCall[];
  readonly providerData: unknown;
  /** Runtime id of the model that answered, where the provider said so. */
  readonly model: string | undefined;
  readonly reason: FinishReason;
}

export interface StepCall {
  readonly model: ModelProvider;
  readonly request: ModelRequest;
  readonly meter: CallMeter | undefined;
  readonly clock: Clock;
  readonly onText: (delta: string) => void;
  /** With every part, of whatever kind. */
  readonly onProgress: () => void;
}

const ABORTED_MS = 1_000;

/** Rejects as the provider does; `hasSpoken` then says whether anything of the answer had come. */
export class ModelStep {
  readonly #call: StepCall;
  readonly #calls: ToolCall[] = [];
  #text = '';
  #emittedChars = 0;
  #model: string | undefined;
  #providerData: unknown;
  #reason: FinishReason = 'stop';

  constructor(call: StepCall) {
    this.#call = call;
  }

  get hasSpoken(): boolean {
    return this.#emittedChars > 0 || this.#calls.length > 0;
  }

  async run(): Promise<StepResult> {
    const { meter, request, clock } = this.#call;
    const end = (error?: ErrorCode): void => meter?.end(this.#emittedChars, error);
    // Also where the provider does not listen: money that is set aside for it is missing elsewhere. One that listens
    // says first what the call took.
    const onAbort = (): void => void clock.setTimeout(() => end('turn.cancelled'), ABORTED_MS);
    if (meter) request.signal.addEventListener('abort', onAbort, { once: true });
    try {
      await this.#read();
      end();
    } catch (error) {
      end(AppError.is(error) ? error.code : 'model.failed');
      throw error;
    } finally {
      if (meter) request.signal.removeEventListener('abort', onAbort);
    }
    const [text, calls] = [this.#text, this.#calls];
    return { text, calls, providerData: this.#providerData, model: this.#model, reason: this.#reason };
  }

  async #read(): Promise<void> {
    const { model, request, meter, onText, onProgress } = this.#call;
    for await (const part of model.stream(request)) {
      // Ended from outside: whatever still comes is nobody's, but it has been paid for.
      if (part.type !== 'usage') request.signal.throwIfAborted();
      onProgress();
      switch (part.type) {
        case 'text':
          this.#text += part.delta;
          this.#emittedChars += part.delta.length;
          onText(part.delta);
          break;
        case 'reasoning':
          this.#emittedChars += part.delta.length;
          break;
        case 'tool_call':
          this.#calls.push(part.call);
          break;
        case 'usage':
          if (part.purpose === undefined && part.failed === undefined) this.#model = part.model;
          await meter?.take(part, this.#emittedChars);
          break;
        case 'finish':
          this.#providerData = part.providerData;
          this.#reason = part.reason;
      }
    }
  }
}
