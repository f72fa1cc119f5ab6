/**
 * What both adapters must do alike and no library decides for us. Kept in one place because a client must not be able
 * to tell which transport it talks to.
 */
import { AppError } from '../../contract/errors.ts';

/** A peer that does not answer a close within this time is cut. */
export const CLOSE_ANSWER_MS = 1_000;
/** A socket that says nothing for this long, not even a pong, is gone and ends as 1006. */
export const SILENCE_MS = 120_000;
/** A connection between two HTTP requests lives this long. */
export const KEEP_ALIVE_MS = 10_000;

const CLOSE_REASON_BYTES = 123;

/** Fewer bytes of an upload are no progress: a byte now and then must not hold a connection. */
export const PROGRESS_BYTES = 4 * 1024;

export function bodyTooLarge(bytesMax: number): AppError {
  return new AppError(
    'body.too_large',
    `The request body is larger than ${bytesMax} bytes; send less at once`,
  );
}

export function clientGone(): AppError {
  return new AppError('request.invalid', 'The client went away before its request body was complete');
}

export function clientStalled(stallMs: number): AppError {
  return new AppError(
    'request.invalid',
    `The client sent next to nothing of its request body for ${stallMs} ms`,
  );
}

/** A close frame has room for 123 bytes of reason; more makes `ws` throw. Never cuts a character in two. */
export function toCloseReason(reason: string): string {
  if (Buffer.byteLength(reason) <= CLOSE_REASON_BYTES) return reason;
  let end = CLOSE_REASON_BYTES;
  const bytes = Buffer.from(reason);
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/** Neither a body nor a content-length belongs to these. */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 304;
}

/** node:http is loaded for the first answer that is not plain: it costs a thread's start more than all of ours. */
export function toStatusLine(status: number): string {
  if (status === 200) return '200 OK';
  const { STATUS_CODES } = process.getBuiltinModule('node:http');
  return `${status} ${STATUS_CODES[status] ?? 'Unknown'}`;
}

/** An IPv4 peer of a dual-stack listener is an IPv4 peer: rules about loopback compare text. */
export function toAddressText(address: string | undefined): string {
  if (!address) return '';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}
