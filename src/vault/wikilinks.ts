/** The parts of a link's target, as Obsidian reads them: `folder/note#heading`, `note#^block`. */

export interface LinkTarget {
  /** Without heading and block; empty for a link within its own note. */
  readonly target: string;
  readonly heading?: string;
  readonly block?: string;
}

export function parseTarget(text: string): LinkTarget {
  const hash = text.indexOf('#');
  return hash === -1
    ? { target: text.trim() }
    : withFragment(text.slice(0, hash).trim(), text.slice(hash + 1).trim());
}

function withFragment(target: string, fragment: string): LinkTarget {
  const caret = fragment.lastIndexOf('^');
  if (caret === 0 || (caret > 0 && fragment[caret - 1] === '#')) {
    return { target, block: fragment.slice(caret + 1) };
  }
  return fragment === '' ? { target } : { target, heading: fragment };
}

/** What a Markdown link means within the vault; undefined where it leads out of it. `%23` is no beginning of a heading. */
export function parseDestination(destination: string): LinkTarget | undefined {
  if (/^[a-z][a-z0-9+.-]*:/i.test(destination) || destination.startsWith('//')) return undefined;
  const hash = destination.indexOf('#');
  return hash === -1
    ? { target: decode(destination) }
    : withFragment(decode(destination.slice(0, hash)), decode(destination.slice(hash + 1)));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray % is a character like any other
  }
}

/** Files that Obsidian shows but that are no notes. Anything else after a dot belongs to a note's name. */
const ATTACHMENT =
  /\.(?:avif|bmp|gif|jpe?g|png|svg|webp|flac|m4a|mp3|ogg|wav|3gp|webm|mkv|mov|mp4|ogv|pdf|canvas|base|docx?|xlsx?|pptx?|csv|txt|json|ya?ml|html?|zip|excalidraw)$/i;

export function isNoteTarget(target: string): boolean {
  return target !== '' && !ATTACHMENT.test(target);
}
