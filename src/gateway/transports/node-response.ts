/** Writes one answer to node:http, which keeps what a slow client has not taken: a streamed body waits for it. */
import type { ServerResponse } from 'node:http';
import type { HttpResponse, StreamedBody } from '../transport.ts';
import { BodyPump } from './body-pump.ts';
import { isBodiless } from './rules.ts';

export function writeResponse(res: ServerResponse, response: HttpResponse, stallMs: number): void {
  if (res.destroyed || res.socket?.destroyed) return;
  const { status, body } = response;
  const isWhole = typeof body === 'string' || body instanceof Uint8Array;
  // An own copy: content-length is ours, whatever the app says, as it is uWS's over there.
  const headers: Record<string, string | number> = {};
  for (const name in response.headers) {
    if (name.toLowerCase() !== 'content-length') headers[name] = response.headers[name]!;
  }
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  // Without it node:http sends chunks.
  if (!isBodiless(status) && length !== undefined) headers['content-length'] = length;
  res.writeHead(status, headers);
  // For HEAD node:http sends the headers alone.
  if (isBodiless(status) || body.length === 0 || (!isWhole && res.req.method === 'HEAD')) res.end();
  else if (isWhole) res.end(body);
  else stream(res, body, stallMs);
}

function stream(res: ServerResponse, body: StreamedBody, stallMs: number): void {
  const pump = new BodyPump(
    body,
    {
      write: (piece) => res.write(piece),
      end: () => void res.end(),
      cut: () => void res.destroy(),
    },
    stallMs,
  );
  res.on('drain', () => pump.drained());
  res.once('close', () => pump.abort());
  void pump.run();
}
