/** Attachment markers in answers (reference §2.7): `[IMAGE:/path]`, also FILE, VOICE and VIDEO. */
import type { AttachmentInfo } from '../../contract/frames.ts';

const MARKER = /\[(IMAGE|FILE|VOICE|VIDEO):([^\]]+)\]/g;

/** The text without markers, trimmed, and what they named, in order; null when there is none, as clients expect. */
export function parseMarkers(text: string): { text: string; attachments: AttachmentInfo[] | null } {
  if (!text.includes('[')) return { text: text.trim(), attachments: null };
  const attachments: AttachmentInfo[] = [];
  const rest = text.replace(MARKER, (_, kind: string, rawPath: string) => {
    const path = rawPath.trim();
    const filename = path.slice(path.lastIndexOf('/') + 1);
    attachments.push({ type: kind.toLowerCase() as AttachmentInfo['type'], path, filename });
    return '';
  });
  return { text: rest.trim(), attachments: attachments.length > 0 ? attachments : null };
}
