/**
 * Images in what OpenAI's clients ask. They come as `data:` URLs and become files of the turn, like those that clients of
 * the WebSocket upload first. An agent fetches nothing for a client: an address could be one of the machine it runs on.
 */
import { AppError } from '../../contract/errors.ts';
import type { SentImage } from '../services/completion-service.ts';

/** Those that models can be shown. */
const EXTENSIONS: Readonly<Record<string, string>> = {
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'image/jpg': 'jpg',
  'image/gif': 'gif',
  'image/webp': 'webp',
};
const KINDS = 'image/png, image/jpeg, image/gif or image/webp';
const HEAD_CHARS = 256;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const SEND = `send the image itself as data:image/png;base64,… (${KINDS})`;

export function isImagePart(type: string): boolean {
  return type === 'image_url' || type === 'input_image';
}

/** `part.image_url` is an object in messages of a chat, and a text in the input of a response. */
export function imageOf(part: Readonly<Record<string, unknown>>, where: string, number: number): SentImage {
  const given = part.image_url;
  const url = typeof given === 'object' && given !== null ? (given as { url?: unknown }).url : given;
  const field = `${where}.image_url`;
  if (typeof url !== 'string') throw invalid(field, `there is no image in it: ${SEND}`);
  if (!/^data:/i.test(url)) throw invalid(field, `images of other places are not fetched: ${SEND}`);
  const comma = url.slice(0, HEAD_CHARS).indexOf(',');
  const [type = '', ...parameters] = url
    .slice('data:'.length, Math.max(comma, 0))
    .toLowerCase()
    .split(';')
    .map((word) => word.trim());
  const extension = Object.hasOwn(EXTENSIONS, type) ? EXTENSIONS[type] : undefined;
  if (extension === undefined) throw invalid(field, `it is no image of a known kind: ${SEND}`);
  const data = url.slice(comma + 1);
  if (parameters.at(-1) !== 'base64' || !BASE64.test(data)) {
    throw invalid(field, `what follows the comma is not base64: ${SEND}`);
  }
  return { filename: `image-${number}.${extension}`, bytes: Buffer.from(data, 'base64') };
}

function invalid(field: string, message: string): AppError {
  return new AppError('request.invalid', `${field}: ${message}`, {
    details: { issues: [{ field: `body.${field}`, message }] },
  });
}
