/**
 * Which answers are compressed: those long enough that it pays, of a type that is not compressed already. What does it
 * (zlib, the rules of `Accept-Encoding`) is loaded with the first answer that needs it and runs off this thread.
 */
import type { HttpResponse } from './transport.ts';

/** Below, the saved bytes fit into the packet that is sent anyway. */
const BYTES_MIN = 1024;
const COMPRESSIBLE =
  /^(?:text\/|application\/(?:json|yaml|javascript|xml)\b|[\w.+-]+\/[\w.+-]+\+(?:json|xml)\b)/i;

export type Compressible = HttpResponse & { readonly body: string | Uint8Array };

/** A part (206) is counted in bytes of the whole, and streams have announced their length. */
export function isCompressible(response: HttpResponse): response is Compressible {
  const { status, headers, body } = response;
  if (status === 206 || 'content-encoding' in headers) return false;
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) return false;
  return Buffer.byteLength(body) >= BYTES_MIN && COMPRESSIBLE.test(headers['content-type'] ?? '');
}

/** Caches must know that another client gets other bytes, also when this one gets them plain. */
export function negotiated(
  response: Compressible,
  acceptEncoding: string,
): HttpResponse | Promise<HttpResponse> {
  const varying = { ...response, headers: { ...response.headers, vary: 'Origin, Accept-Encoding' } };
  return acceptEncoding === '' ? varying : compressLater(varying, acceptEncoding);
}

async function compressLater(response: Compressible, acceptEncoding: string): Promise<HttpResponse> {
  const { compress } = await import('./compress.ts');
  return compress(response, acceptEncoding);
}
