/**
 * The built-in model that needs no key: it says back what it was told, in tokens, each after `delayMs`. What makes the
 * first command work, and the load generator of the benchmarks.
 */
import type { Clock } from '../contract/clock.ts';
import { lastUserText, type ModelProvider, type ModelRequest, type StreamPart } from './provider.ts';

const FINISH: StreamPart = { type: 'finish', reason: 'stop' };

export function createEchoModel(options: { readonly delayMs: number; readonly clock: Clock }): ModelProvider {
  const { delayMs, clock } = options;
  return {
    runtimeId: 'echo',
    async *stream(request: ModelRequest) {
      const answer = `echo: ${lastUserText(request.messages)}`;
      if (delayMs === 0) {
        yield { type: 'text', delta: answer };
      } else {
        for (const token of tokensOf(answer)) {
          await pause(delayMs, clock, request.signal);
          yield { type: 'text', delta: token };
        }
      }
      yield FINISH;
    },
  };
}

/** Words with the white space that follows them: joined, they are the text. */
function tokensOf(text: string): readonly string[] {
  return text.match(/\s*\S+\s*/g) ?? [text];
}

function pause(delayMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const onAbort = () => {
      clock.clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = clock.setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
