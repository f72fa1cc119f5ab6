/**
 * `fetch` for an MCP server elsewhere: each address is shown to the egress guard first, redirects too, and what comes
 * back is bounded, since the SDK reads a whole answer before it looks at it.
 */
import type { FetchLike } from '@modelcontextprotocol/client';
import { AppError } from '../contract/errors.ts';
import type { EgressGuard } from './connection.ts';

export interface GuardedFetchOptions {
  /** As configured. */
  readonly url: string;
  readonly guard: EgressGuard | undefined;
  readonly messageBytes: number;
}

export function createGuardedFetch({ url, guard, messageBytes }: GuardedFetchOptions): FetchLike {
  const own = new URL(url);
  return async (input, init) => {
    const asked = new URL(String(input));
    // Whoever runs the agent wrote this address; a server on this machine is nothing that a stranger made it ask.
    const isOwnMachine = asked.origin === own.origin && isLoopback(asked.hostname);
    if (!isOwnMachine) await guard?.checkUrl(asked.href);
    const response = await fetch(input, { ...init, redirect: 'manual' });
    return response.body === null ? response : bounded(response, response.body, messageBytes);
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** An answer has this many bytes, or an event of a stream of events. */
function bounded(response: Response, body: NonNullable<Response['body']>, bytesMax: number): Response {
  const isEvents = response.headers.get('content-type')?.includes('text/event-stream') === true;
  let bytes = 0;
  const counted = body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        const end = isEvents ? lastEventEnd(chunk) : -1;
        bytes = end < 0 ? bytes + chunk.byteLength : chunk.byteLength - end;
        if (bytes <= bytesMax) return controller.enqueue(chunk);
        const message = `it sent a message of more than ${bytesMax} bytes (limits.mcp_message_bytes)`;
        controller.error(new AppError('mcp.lost', message));
      },
    }),
  );
  const { status, statusText, headers } = response;
  return new Response(counted, { status, statusText, headers });
}

/** Behind the last empty line of a chunk. One that is split between two chunks is found with the next event. */
function lastEventEnd(chunk: Uint8Array): number {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  return Math.max(bytes.lastIndexOf('\n\n'), bytes.lastIndexOf('\r\n\r\n'), bytes.lastIndexOf('\r\r'));
}
