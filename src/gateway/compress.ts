/** Compresses an answer as its client prefers. Reached only by `import()`: zlib has no place in an idle agent. */
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import Negotiator from 'negotiator';
import type { Compressible } from './compression.ts';
import type { HttpResponse } from './transport.ts';

/** Brotli's own default is for files that are compressed once: a hundred times as slow. */
const BROTLI_QUALITY = 4;
const OFFERED = ['br', 'gzip', 'identity'];

const toBrotli = promisify<Uint8Array, { params: Record<number, number> }, Buffer>(brotliCompress);
const toGzip = promisify<Uint8Array, Buffer>(gzip);

export async function compress(response: Compressible, acceptEncoding: string): Promise<HttpResponse> {
  const negotiator = new Negotiator({ headers: { 'accept-encoding': acceptEncoding } });
  const [encoding] = negotiator.encodings(OFFERED);
  if (encoding !== 'br' && encoding !== 'gzip') return response;
  const plain = typeof response.body === 'string' ? Buffer.from(response.body) : response.body;
  const params = { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY };
  const body = await (encoding === 'br' ? toBrotli(plain, { params }) : toGzip(plain));
  if (body.byteLength >= plain.byteLength) return response;
  const { etag, ...headers } = response.headers;
  const tag = etag === undefined ? {} : { etag: `${etag.slice(0, -1)}-${encoding}"` };
  return { status: response.status, headers: { ...headers, ...tag, 'content-encoding': encoding }, body };
}
