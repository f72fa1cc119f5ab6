/** What a model is given of a long result: its beginning and its end, and how much is missing in between. */

/** Of what is kept, the part that is the beginning. */
const HEAD_SHARE = 0.75;
const MARK_CHARS = 64;

export function cutText(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  const kept = Math.max(0, charsMax - MARK_CHARS);
  const headEnd = toBoundary(text, Math.floor(kept * HEAD_SHARE));
  const tailStart = toBoundary(text, text.length - (kept - headEnd));
  const mark = `\n[… ${tailStart - headEnd} characters left out …]\n`;
  return `${text.slice(0, headEnd)}${mark}${text.slice(tailStart)}`;
}

/** Not between the two halves of a character. */
function toBoundary(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff ? at + 1 : at;
}
