/** The two transports of servers that are reached by HTTP, made from the SDK's, behind the guard and with bounds. */
import {
  SSEClientTransport,
  StreamableHTTPClientTransport,
  type Transport,
} from '@modelcontextprotocol/client';
import type { Clock } from '../contract/clock.ts';
import { createBoundedFetch } from './bounded-fetch.ts';

export interface HttpOptions {
  readonly transport: 'http' | 'sse';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly messageBytes: number;
  readonly clock: Clock;
}

export interface Wire {
  readonly kind: 'stdio' | 'http' | 'sse';
  readonly transport: Transport;
  /** Why it closed by itself, where it knows. */
  failure(): Error | undefined;
  /** What the server complained of last. */
  lastWords(): string;
  end(deadlineMs: number): Promise<void>;
}

/** The stream on which a server says things unasked is begun again by the SDK this often before it gives up. */
const RETRIES = 2;

export function createHttpWire({ transport, url, headers, messageBytes, clock }: HttpOptions): Wire {
  const options = {
    fetch: createBoundedFetch(url, messageBytes),
    requestInit: { headers: { ...headers } },
  };
  const nothing = { failure: () => undefined, lastWords: () => '' };
  if (transport === 'sse') {
    const sse = new SSEClientTransport(new URL(url), options);
    return { kind: 'sse', transport: sse, ...nothing, end: () => sse.close() };
  }
  const http = new StreamableHTTPClientTransport(new URL(url), {
    ...options,
    reconnectionOptions: {
      initialReconnectionDelay: 500,
      maxReconnectionDelay: 5_000,
      reconnectionDelayGrowFactor: 2,
      maxRetries: RETRIES,
    },
  });
  const end = async (deadlineMs: number): Promise<void> => {
    let timer: unknown;
    const late = new Promise<void>((resolve) => {
      timer = clock.setTimeout(resolve, deadlineMs / 2);
    });
    // So that the server can forget the session at once; one that is gone cannot be told.
    await Promise.race([http.terminateSession().catch(() => {}), late]);
    clock.clearTimeout(timer);
    await http.close();
  };
  return { kind: 'http', transport: http, ...nothing, end };
}
