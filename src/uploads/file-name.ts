/**
 * What a file that somebody sends may be called. Two names come of one: the one for people, and the one on disk, which
 * leads nowhere, hides nothing, means the same on every file system, and can stand in a `[FILE:…]` marker.
 */

const UNNAMED = 'upload';
const NAME_BYTES = 255;
const SHOWN_CHARS = 512;
const EXTENSION_BYTES = 32;
/** Marks that turn the direction of text: `exe.gpj` must not look like `jpg.exe` turned round. */
const UNSEEN = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
/** No file name on some systems. */
const FORBIDDEN = /[<>:"|?*]/g;
/** Devices of Windows, whatever the extension. */
const RESERVED = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])(?:\.|$)/i;

/** The last part of what was sent, as it was sent, as far as it can be shown in one line. */
export function shownName(sent: string): string {
  const last = sent.split(/[/\\]/).at(-1) ?? '';
  const name = [...last.replaceAll(UNSEEN, '')].slice(0, SHOWN_CHARS).join('').trim();
  return /^\.{0,2}$/.test(name) ? UNNAMED : name;
}

/** Given its own result, it gives the same. */
export function diskName(sent: string): string {
  const visible = shownName(sent)
    .normalize('NFC')
    .replaceAll(FORBIDDEN, '_')
    .replaceAll('[', '(')
    .replaceAll(']', ')')
    .replace(/^\.+/, '_');
  const name = withoutEnd(shorten(withoutEnd(visible)));
  if (name === '') return UNNAMED;
  return RESERVED.test(name) ? shorten(`_${name}`) : name;
}

/** Windows drops dots and spaces at the end, and then two names are one. */
function withoutEnd(name: string): string {
  return name.replace(/^\s+/, '').replace(/[\s.]+$/, '');
}

/** To the bytes a name may have, its extension kept. */
function shorten(name: string): string {
  if (Buffer.byteLength(name) <= NAME_BYTES) return name;
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 && Buffer.byteLength(name.slice(dot)) <= EXTENSION_BYTES ? name.slice(dot) : '';
  let room = NAME_BYTES - Buffer.byteLength(extension);
  let stem = '';
  for (const character of name.slice(0, name.length - extension.length)) {
    room -= Buffer.byteLength(character);
    if (room < 0) break;
    stem += character;
  }
  return stem + extension;
}
