/**
 * One HTTP call that ends when nobody wants its answer any more, and when its provider makes no progress: it has sent not
 * a byte for too long, or nothing but signs of life for much too long. A model that thinks sends pings, and a provider
 * where the call waits in a queue does; a proxy that lost the model behind it would send them for ever.
 */
import { type Clock, systemClock, type TimerHandle } from '../contract/clock.ts';
import { BodyTurns, paceBody } from './paced-body.ts';

export type Missed = 'bytes' | 'answer';

export interface ProgressWatch {
  /** Of the HTTP request: by it the bytes are counted for this watch. */
  readonly signal: AbortSignal;
  /** What it was ended for the lack of: any byte at all, or a piece of an answer. */
  missed(): Missed | undefined;
  /** A piece of the answer has come, also one that nobody is shown. */
  progressed(): void;
  /** The answer has begun: what follows may wait behind others' beginnings. */
  spoke(): void;
  /** No longer watched. `close`: the connection is closed, whatever is still to come. */
  end(how: 'close' | 'leave'): void;
}

export interface WatchOptions {
  /** Of whoever wants the answer. */
  readonly signal: AbortSignal;
  /** Without a byte. */
  readonly stallMs: number;
  /** Without a piece of an answer. */
  readonly progressMs: number;
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
  { signal, stallMs, progressMs, clock }: WatchOptions,
  calls: WeakMap<AbortSignal, WatchedCall>,
): ProgressWatch {
  const controller = new AbortController();
  let lastMs = clock.monotonicMs();
  let lastPieceMs = lastMs;
  let missed: Missed | undefined;
  let timer: TimerHandle;
  const onAbort = () => controller.abort(signal.reason);
  const look = () => {
    const [silentAtMs, idleAtMs] = [lastMs + stallMs, lastPieceMs + progressMs];
    const leftMs = Math.min(silentAtMs, idleAtMs) - clock.monotonicMs();
    if (leftMs > 0) timer = clock.setTimeout(look, leftMs);
    else {
      missed = silentAtMs <= idleAtMs ? 'bytes' : 'answer';
      controller.abort(new Error('no progress'));
    }
  };
  const touch = () => {
    lastMs = clock.monotonicMs();
  };
  const call: WatchedCall = { touch, hasSpoken: false };
  calls.set(controller.signal, call);
  timer = clock.setTimeout(look, Math.min(stallMs, progressMs));
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    missed: () => missed,
    progressed: () => {
      lastPieceMs = clock.monotonicMs();
    },
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
  const response = await unlessAborted(fetch(input, { ...init, redirect: 'error' }), init?.signal);
  call?.touch();
  if (response.body === null) return response;
  const body = paceBody(response.body, {
    turns,
    onBytes: () => call?.touch(),
    isUrgent: () => call?.hasSpoken !== true,
    signal: init?.signal ?? undefined,
  });
  const { status, statusText, headers } = response;
  return new Response(body, { status, statusText, headers });
}

/** The same for the head of an answer as for its body: a signal that `fetch` forgot ends the wait all the same. */
function unlessAborted(answer: Promise<Response>, signal: AbortSignal | null | undefined): Promise<Response> {
  if (!signal) return answer;
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      reject(signal.reason);
      answer.then(
        ({ body }) => body?.cancel(signal.reason),
        () => {}, // it was told
      );
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
