/**
 * Files that came with a message: told to the model as text, in the form that clients of the reference use themselves,
 * and images also as what they show. Only images that may be handed out: a path is a stranger's word.
 */
import { extname } from 'node:path';
import type { AttachmentInfo } from '../contract/frames.ts';
import type { ImagePart } from '../models/provider.ts';

/** Throws for a file that may not be read; gives its size otherwise. */
export type FindServed = (path: string) => Promise<{ readonly path: string; readonly bytes: number }>;

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.gif': 'image/gif',
  '.webp': 'image/webp',
};
/** What the strictest vendor takes in one image, as the base64 text it becomes. */
const IMAGE_BYTES_MAX = 3_750_000;
const IMAGES_MAX = 8;

export function announceFiles(text: string, attachments: readonly AttachmentInfo[]): string {
  if (attachments.length === 0) return text;
  const lines = attachments.map(({ type, filename, path }) => {
    const kind = type === 'voice' ? 'audio' : type;
    return `- ${kind}: ${oneLine(filename)} — local path: ${oneLine(path)}`;
  });
  const hint = 'Open them with a Read tool or another that reads files.';
  return ['The user attached files:', ...lines, hint, '', text].join('\n').trimEnd();
}

export async function visibleImages(
  attachments: readonly AttachmentInfo[],
  findServed: FindServed,
): Promise<readonly ImagePart[]> {
  const images: ImagePart[] = [];
  for (const { type, path } of attachments) {
    const mediaType = type === 'image' ? MEDIA_TYPES[extname(path).toLowerCase()] : undefined;
    if (mediaType === undefined || images.length >= IMAGES_MAX) continue;
    try {
      const file = await findServed(path);
      if (file.bytes <= IMAGE_BYTES_MAX) images.push({ mediaType, path: file.path });
    } catch {
      // Gone, or not the agent's to show: the text still names it.
    }
  }
  return images;
}

/** A name with line ends could say anything beneath it. */
function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ');
}
