/** The parts of a link's target, as Obsidian reads them: `folder/note#heading`, `note#^block`. */

export interface LinkTarget {
  /** Without heading and block; empty for a link within its own note. */
  readonly target: string;
  readonly heading?: string;
  readonly block?: string;
}

export function parseTarget(text: string): LinkTarget {
  const hash = text.indexOf('#');
  if (hash === -1) return { target: text.trim() };
  const target = text.slice(0, hash).trim();
  const fragment = text.slice(hash + 1).trim();
  const caret = fragment.lastIndexOf('^');
  if (caret === 0 || (caret > 0 && fragment[caret - 1] === '#')) {
    return { target, block: fragment.slice(caret + 1) };
  }
  return fragment === '' ? { target } : { target, heading: fragment };
}

/** What a Markdown link means within the vault: percent-encoding undone; undefined where it leads out of it. */
export function localDestination(destination: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:/i.test(destination) || destination.startsWith('//')) return undefined;
  try {
    return decodeURIComponent(destination);
  } catch {
    return destination; // a stray % is a character like any other
  }
}

/** Files that Obsidian shows but that are no notes. Anything else after a dot belongs to a note's name. */
const ATTACHMENT =
  /\.(?:avif|bmp|gif|jpe?g|png|svg|webp|flac|m4a|mp3|ogg|wav|3gp|webm|mkv|mov|mp4|ogv|pdf|canvas|base|docx?|xlsx?|pptx?|csv|txt|json|ya?ml|html?|zip|excalidraw)$/i;

export function isNoteTarget(target: string): boolean {
  return target !== '' && !ATTACHMENT.test(target);
}
