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

/** What clients poll is made once and answered as the same bytes until it changes; packing takes longer than all else. */
const packed = new WeakMap<Uint8Array, Map<string, Promise<Buffer>>>();

export async function compress(response: Compressible, acceptEncoding: string): Promise<HttpResponse> {
  const negotiator = new Negotiator({ headers: { 'accept-encoding': acceptEncoding } });
  const [encoding] = negotiator.encodings(OFFERED);
  if (encoding !== 'br' && encoding !== 'gzip') return response;
  const plain = typeof response.body === 'string' ? Buffer.from(response.body) : response.body;
  const body = await (plain === response.body ? packOnce(plain, encoding) : pack(plain, encoding));
  if (body.byteLength >= plain.byteLength) return response;
  const { etag, ...headers } = response.headers;
  const tag = etag === undefined ? {} : { etag: `${etag.slice(0, -1)}-${encoding}"` };
  return { status: response.status, headers: { ...headers, ...tag, 'content-encoding': encoding }, body };
}

function packOnce(plain: Uint8Array, encoding: 'br' | 'gzip'): Promise<Buffer> {
  const known = packed.get(plain) ?? new Map<string, Promise<Buffer>>();
  packed.set(plain, known);
  const before = known.get(encoding);
  if (before) return before;
  const packing = pack(plain, encoding);
  known.set(encoding, packing);
  // Whoever waits for it hears why; the next answer tries again.
  packing.catch(() => known.delete(encoding));
  return packing;
}

function pack(plain: Uint8Array, encoding: 'br' | 'gzip'): Promise<Buffer> {
  const params = { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY };
  return encoding === 'br' ? toBrotli(plain, { params }) : toGzip(plain);
}
