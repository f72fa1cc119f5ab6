/**
 * One HTTP call that ends when nobody wants its answer any more, and when its provider has not sent a byte for too long.
 * Bytes and not parts are counted: a model that thinks sends pings.
 */
import type { Clock, TimerHandle } from '../contract/clock.ts';

export interface ProgressWatch {
  /** Of the HTTP request: by it the bytes are counted for this watch. */
  readonly signal: AbortSignal;
  /** It was ended for silence. */
  isStalled(): boolean;
  /** No longer watched. `close`: the connection is closed, whatever is still to come. */
  end(how: 'close' | 'leave'): void;
}

export interface WatchOptions {
  /** Of whoever wants the answer. */
  readonly signal: AbortSignal;
  readonly stallMs: number;
  readonly clock: Clock;
}

export interface ProgressWatcher {
  /** For all calls: models are made once, and told apart by the signals of their calls. */
  readonly fetch: typeof fetch;
  watch(options: WatchOptions): ProgressWatch;
}

export function createProgressWatcher(): ProgressWatcher {
  const touches = new WeakMap<AbortSignal, () => void>();
  return {
    fetch: (input, init) =>
      touchedFetch(input, init, (init?.signal && touches.get(init.signal)) ?? (() => {})),
    watch: (options) => watchProgress(options, touches),
  };
}

function watchProgress(
  { signal, stallMs, clock }: WatchOptions,
  touches: WeakMap<AbortSignal, () => void>,
): ProgressWatch {
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
  touches.set(controller.signal, touch);
  timer = clock.setTimeout(look, stallMs);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    isStalled: () => isStalled,
    end: (how) => {
      clock.clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      if (how === 'close') controller.abort(new Error('over'));
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
