/**
 * What a vault looks like from outside: how many folders it has, and which symbolic links stand in it for notes or folders
 * of notes. Users of Obsidian link folders into their vaults; an agent follows no link, and they would miss the notes.
 */
import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface VaultLink {
  readonly path: string;
  readonly target: string;
}

export interface VaultSurvey {
  /** The vault itself is one; counting ends at `max`. */
  readonly folders: number;
  readonly links: readonly VaultLink[];
}

export async function surveyVault(dir: string, max: number): Promise<VaultSurvey> {
  const links: VaultLink[] = [];
  let folders = 1;
  const waiting = [dir];
  for (let path = waiting.pop(); path !== undefined && folders < max; path = waiting.pop()) {
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (entry.name.startsWith('.')) continue;
      const at = join(path, entry.name);
      if (entry.isSymbolicLink()) {
        const target = await targetOf(at);
        if (target !== undefined) links.push({ path: at, target });
      } else if (entry.isDirectory()) {
        folders += 1;
        waiting.push(at);
      }
    }
  }
  return { folders, links };
}

/** Of a link to a folder or to a note; one that leads nowhere hides nothing. */
async function targetOf(link: string): Promise<string | undefined> {
  try {
    const isFolder = (await stat(link)).isDirectory();
    return isFolder || link.endsWith('.md') ? await realpath(link) : undefined;
  } catch {
    return undefined;
  }
}
