/** One request of node:http as a plain record. Its body is read only when asked for; node discards the rest itself. */
import type { IncomingMessage } from 'node:http';
import type { HttpRequest } from '../transport.ts';
import { bodyTooLarge, clientGone, toAddressText } from './rules.ts';

export function toRequest(req: IncomingMessage, isUpgrade: boolean): HttpRequest {
  const url = req.url ?? '/';
  const { headers } = req;
  const queryAt = url.indexOf('?');
  return {
    method: req.method ?? 'GET',
    path: queryAt < 0 ? url : url.slice(0, queryAt),
    query: queryAt < 0 ? '' : url.slice(queryAt + 1),
    host: hostOf(req),
    origin: headers.origin ?? '',
    authorization: headers.authorization ?? '',
    contentType: headers['content-type'] ?? '',
    secFetchSite: String(headers['sec-fetch-site'] ?? ''),
    isUpgrade,
    remoteAddress: () => toAddressText(req.socket.remoteAddress),
    readBody: (bytesMax) => readBody(req, bytesMax),
  };
}

/** All of them, joined: node:http keeps the first `Host` only, and the access rules must see that there are two. */
function hostOf({ rawHeaders }: IncomingMessage): string {
  let host: string | undefined;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length !== 4 || name.toLowerCase() !== 'host') continue;
    host = host === undefined ? rawHeaders[i + 1]! : `${host}, ${rawHeaders[i + 1]}`;
  }
  return host ?? '';
}

function readBody(req: IncomingMessage, bytesMax: number): Promise<Buffer> {
  if (Number(req.headers['content-length']) > bytesMax) return Promise.reject(bodyTooLarge(bytesMax));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const onData = (chunk: Buffer) => {
      bytes += chunk.byteLength;
      if (bytes <= bytesMax) {
        chunks.push(chunk);
        return;
      }
      chunks.length = 0;
      // The rest flows on and is dropped, so that the answer is not lost in a reset connection.
      req.off('data', onData);
      req.resume();
      reject(bodyTooLarge(bytesMax));
    };
    req.on('data', onData);
    req.once('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
    req.on('error', () => reject(clientGone()));
    req.once('close', () => {
      if (!req.complete) reject(clientGone());
    });
  });
}
