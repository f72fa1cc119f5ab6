/** Attachment markers in answers (reference §2.7): `[IMAGE:/path]`, also FILE, VOICE and VIDEO. */
import type { AttachmentInfo } from '../../contract/frames.ts';

const OPENING = /\[(IMAGE|FILE|VOICE|VIDEO):/g;

/**
 * The text without markers, trimmed, and what they named, in order; null when there is none, as clients expect. One pass
 * over the text: a pattern for whole markers would look for the end anew from each of a million openings without one,
 * and an answer, which may repeat what a stranger wrote, could hold up the agent for an hour.
 */
export function parseMarkers(text: string): { text: string; attachments: AttachmentInfo[] | null } {
  // Nearly every answer: looking for a pattern costs a turn of the echo model as much as writing it down.
  if (!text.includes('[')) return { text: text.trim(), attachments: null };
  const attachments: AttachmentInfo[] = [];
  let rest = '';
  let doneTo = 0;
  for (const opening of text.matchAll(OPENING)) {
    // Part of the path of the one before.
    if (opening.index < doneTo) continue;
    const pathFrom = opening.index + opening[0].length;
    const end = text.indexOf(']', pathFrom);
    if (end < 0) break;
    if (end === pathFrom) continue;
    const path = text.slice(pathFrom, end).trim();
    const filename = path.slice(path.lastIndexOf('/') + 1);
    const type = opening[1]?.toLowerCase() as AttachmentInfo['type'];
    attachments.push({ type, path, filename });
    rest += text.slice(doneTo, opening.index);
    doneTo = end + 1;
  }
  rest += text.slice(doneTo);
  return { text: rest.trim(), attachments: attachments.length > 0 ? attachments : null };
}
