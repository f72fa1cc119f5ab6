/**
 * One HTTP call that ends when nobody wants its answer any more, and when its provider has not sent a byte for too long.
 * Bytes and not parts are counted: a model that thinks sends pings.
 */
import { type Clock, systemClock, type TimerHandle } from '../contract/clock.ts';
import { BodyTurns, paceBody } from './paced-body.ts';

export interface ProgressWatch {
  /** Of the HTTP request: by it the bytes are counted for this watch. */
  readonly signal: AbortSignal;
  /** It was ended for silence. */
  isStalled(): boolean;
  /** The answer has begun: what follows may wait behind others' beginnings. */
  spoke(): void;
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
  const calls = new WeakMap<AbortSignal, WatchedCall>();
  const turns = new BodyTurns(systemClock);
  return {
    fetch: (input, init) =>
      watchedFetch(input, init, turns, init?.signal ? calls.get(init.signal) : undefined),
    watch: (options) => watchProgress(options, calls),
  };
}

/** What the bytes of a call need to know of it. */
interface WatchedCall {
  readonly touch: () => void;
  hasSpoken: boolean;
}

function watchProgress(
  { signal, stallMs, clock }: WatchOptions,
  calls: WeakMap<AbortSignal, WatchedCall>,
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
  const call: WatchedCall = { touch, hasSpoken: false };
  calls.set(controller.signal, call);
  timer = clock.setTimeout(look, stallMs);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    isStalled: () => isStalled,
    spoke: () => {
      call.hasSpoken = true;
    },
    end: (how) => {
      clock.clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      if (how === 'close') controller.abort(new Error('over'));
    },
  };
}

/** A redirect would carry the key to an address that nobody configured. */
async function watchedFetch(
  input: string | URL | Request,
  init: RequestInit | undefined,
  turns: BodyTurns,
  call: WatchedCall | undefined,
): Promise<Response> {
  const response = await fetch(input, { ...init, redirect: 'error' });
  call?.touch();
  if (response.body === null) return response;
  const body = paceBody(response.body, {
    turns,
    onBytes: () => call?.touch(),
    isUrgent: () => call?.hasSpoken !== true,
    isAborted: () => init?.signal?.aborted === true,
  });
  const { status, statusText, headers } = response;
  return new Response(body, { status, statusText, headers });
}
