/**
 * `fetch` for an MCP server elsewhere. It goes past the egress guard, which lets through the host that whoever runs the
 * agent has written down, wherever that is, and of all others only public ones; and what comes back is bounded, since the
 * SDK reads a whole answer before it looks at it.
 */
import type { FetchLike } from '@modelcontextprotocol/client';
import { AppError } from '../contract/errors.ts';
import { createEgressGuard } from '../tools/egress-guard.ts';
import { createGuardedFetch } from '../tools/guarded-request.ts';

/** `url` as configured. */
export function createBoundedFetch(url: string, messageBytes: number): FetchLike {
  const { host, port, protocol } = new URL(url);
  const own = port === '' ? `${host}:${protocol === 'https:' ? 443 : 80}` : host;
  const fetchGuarded = createGuardedFetch(
    createEgressGuard({ allowHosts: [own], denyHosts: [], ports: 'any' }),
  );
  return async (input, init) => {
    const response = await fetchGuarded(input, { ...init, redirect: 'manual' });
    return response.body === null ? response : bounded(response, response.body, messageBytes);
  };
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
