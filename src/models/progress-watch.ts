/**
 * One HTTP call that ends when nobody wants its answer any more, and when its provider has not sent a byte for too long.
 * Bytes and not parts are counted: a model that thinks sends pings.
 */
import type { Clock, TimerHandle } from '../contract/clock.ts';

export interface ProgressWatch {
  /** Of the HTTP request. */
  readonly signal: AbortSignal;
  readonly fetch: typeof fetch;
  /** It was ended for silence. */
  isStalled(): boolean;
  /** Closes the connection if it is still open. */
  end(): void;
}

export function watchProgress(options: {
  readonly signal: AbortSignal;
  readonly stallMs: number;
  readonly clock: Clock;
}): ProgressWatch {
  const { signal, stallMs, clock } = options;
  const controller = new AbortController();
  let lastMs = clock.monotonicMs();
  let isStalled = false;
  let timer: TimerHandle;
  const onAbort = () => controller.abort(signal.reason);
  const look = () => {
    const leftMs = lastMs + stallMs - clock.monotonicMs();
    if (leftMs > 0) timer = clock.setTimeout(look, leftMs);
    else {
      isStalled = true;
      controller.abort(new Error('no progress'));
    }
  };
  const touch = () => {
    lastMs = clock.monotonicMs();
  };
  timer = clock.setTimeout(look, stallMs);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    fetch: (input, init) => touchedFetch(input, init, touch),
    isStalled: () => isStalled,
    end: () => {
      clock.clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      controller.abort(new Error('over'));
    },
  };
}

/** A redirect would carry the key to an address that nobody configured. */
async function touchedFetch(
  input: string | URL | Request,
  init: RequestInit | undefined,
  touch: () => void,
): Promise<Response> {
  const response = await fetch(input, { ...init, redirect: 'error' });
  touch();
  if (response.body === null) return response;
  const touching = new TransformStream<Uint8Array, Uint8Array>({
    transform(bytes, controller) {
      touch();
      controller.enqueue(bytes);
    },
  });
  const { status, statusText, headers } = response;
  return new Response(response.body.pipeThrough(touching), { status, statusText, headers });
}
