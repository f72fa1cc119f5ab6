/**
 * The answer that hands out a file, whole or one part of it. Its headers keep a browser from ever running what is in the
 * file, whatever it claims to be. Loaded with the first file that is asked for.
 */
import { create as dispositionOf } from 'content-disposition';
import parseRange from 'range-parser';
import { AppError } from '../../contract/errors.ts';
import { type BytesReply, replyBytes } from '../../contract/route.ts';
import type { FileContent } from '../services/upload-service.ts';

interface RangeHeaders {
  readonly range: string;
  readonly 'if-range': string;
}

export function answerWith(file: FileContent, headers: RangeHeaders): BytesReply {
  const range = rangeOf(headers, file);
  const { from, to } = range ?? { from: 0, to: file.bytes - 1 };
  return replyBytes(
    { length: to - from + 1, open: () => file.read(from, to) },
    {
      status: range === undefined ? 200 : 206,
      etag: file.version,
      headers: {
        'content-type': file.mediaType,
        'content-disposition': dispositionOf(file.filename),
        'content-security-policy': "sandbox; default-src 'none'",
        'cross-origin-resource-policy': 'same-origin',
        'accept-ranges': 'bytes',
        ...(range === undefined ? {} : { 'content-range': `bytes ${from}-${to}/${file.bytes}` }),
      },
    },
  );
}

/** Undefined: the whole file, also where the header asks for several parts or makes no sense (RFC 9110 allows both). */
function rangeOf(headers: RangeHeaders, file: FileContent): { from: number; to: number } | undefined {
  const condition = headers['if-range'];
  if (headers.range === '' || (condition !== '' && condition !== `"${file.version}"`)) return undefined;
  if (hasBackwardsPart(headers.range)) return undefined;
  // The library refuses an end that is longer than the file, which is all of it (RFC 9110, 14.1.2).
  const [, suffix] = /^bytes=-(\d+)$/.exec(headers.range) ?? [];
  if (Number(suffix) > file.bytes && file.bytes > 0) return { from: 0, to: file.bytes - 1 };
  const ranges = parseRange(file.bytes, headers.range);
  if (ranges === -1 && headers.range.startsWith('bytes=')) {
    throw new AppError('range.unsatisfiable', `The file has only ${file.bytes} bytes`, {
      details: { length: file.bytes },
    });
  }
  if (typeof ranges === 'number' || ranges.type !== 'bytes' || ranges.length !== 1) return undefined;
  const [range] = ranges;
  return range && { from: range.start, to: range.end };
}

/** No valid header (RFC 9110, 14.1.1), which the library cannot tell from a part behind the end of the file. */
function hasBackwardsPart(range: string): boolean {
  return range
    .slice(range.indexOf('=') + 1)
    .split(',')
    .some((part) => {
      const [, first, last] = /^\s*(\d+)\s*-\s*(\d+)\s*$/.exec(part) ?? [];
      return Number(first) > Number(last);
    });
}
