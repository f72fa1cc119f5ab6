/**
 * The agent's notes as tools. What changes a note wants its etag, so that a call that is made twice, or on what somebody
 * else has changed meanwhile, does nothing instead of something else.
 */
import { z } from 'zod';
import { AppError } from '../contract/errors.ts';
import { defineTool } from './define-tool.ts';
import type { Tool, ToolSource } from './tool.ts';

/** What the tools need of the vault. Paths are checked behind it. */
export interface NoteService {
  /** JSON: `{notes: [{path, title, tags, modified, …}], indexing?}`. */
  list(options: {
    readonly limit: number;
    readonly offset: number;
    readonly folder?: string | undefined;
    readonly tag?: string | undefined;
  }): Promise<{ readonly json: Uint8Array }>;
  search(
    query: string,
    limit: number,
  ): Promise<{ readonly results: readonly NoteHit[]; indexing?: true | undefined }>;
  backlinks(
    path: string,
    limit: number,
  ): Promise<{ readonly backlinks: readonly { readonly path: string }[] }>;
  read(path: string): Promise<NoteText>;
  write(
    path: string,
    content: string,
    guard: NoteGuard,
  ): Promise<{ readonly path: string; readonly etag: string }>;
  remove(path: string, guard: NoteGuard): Promise<unknown>;
  rename(from: string, to: string, updateLinks: boolean): Promise<RenamedNotes>;
}

export interface NoteHit {
  readonly path: string;
  readonly title: string;
  readonly snippet: string;
}

export interface NoteText {
  readonly path: string;
  readonly content: string;
  readonly etag: string;
  readonly tags: readonly string[];
  readonly links: readonly string[];
  /** Absent where it is. */
  readonly utf8?: false | undefined;
}

/** As in HTTP, quotes included. */
export interface NoteGuard {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

export interface RenamedNotes {
  readonly from: string;
  readonly path: string;
  readonly updated: readonly string[];
  readonly failed: readonly string[];
}

const path = z
  .string()
  .min(1)
  .max(4_096)
  .describe('Path of the note within the vault, such as projects/garden.md');
const etag = z
  .string()
  .min(1)
  .max(256)
  .describe('The etag that vault_read or the last change of the note gave');
const content = z.string().refine((text) => !/\p{Surrogate}/u.test(text), 'must be valid Unicode');
const LINKS_MAX = 500;
const INDEXING = '\n(The vault is still being read: something may be missing.)';

export function createVaultTools(notes: NoteService): ToolSource {
  const tools = [...readers(notes), ...finders(notes), ...writers(notes), ...movers(notes)];
  return { name: 'vault', tools: () => tools };
}

function readers(notes: NoteService): readonly Tool[] {
  return [
    defineTool({
      name: 'vault_list',
      description: 'Lists notes of your vault, which is your long-term memory, with titles and tags.',
      effect: 'none',
      input: z.object({
        folder: z.string().min(1).max(4_096).optional().describe('Only notes in it'),
        tag: z.string().min(1).max(1_000).optional(),
        limit: z.int().min(1).max(1_000).default(200),
        offset: z.int().min(0).default(0),
      }),
      run: async (input) => {
        const { json } = await notes.list(input);
        const { notes: found, indexing } = JSON.parse(Buffer.from(json).toString('utf8')) as Listing;
        const lines = found.map(({ path, title, tags }) => [
          path,
          title,
          tags.map((tag) => `#${tag}`).join(' '),
        ]);
        const text = lines.map((parts) => parts.filter((part) => part !== '').join(' | ')).join('\n');
        return `${text || 'No notes.'}${indexing ? INDEXING : ''}`;
      },
    }),
    defineTool({
      name: 'vault_read',
      description: 'Reads a note. Gives its etag, which changes of the note need, and its text.',
      effect: 'none',
      input: z.object({ path }),
      run: async (input) => {
        const note = await notes.read(input.path);
        const doubt = note.utf8 === false ? '\n(It has bytes that are no text: it cannot be changed.)' : '';
        return `path: ${note.path}\netag: ${note.etag}${doubt}\n\n${note.content}`;
      },
    }),
  ];
}

function finders(notes: NoteService): readonly Tool[] {
  return [
    defineTool({
      name: 'vault_search',
      description: 'Searches words in all notes: in titles, tags and text. The best come first.',
      effect: 'none',
      input: z.object({ query: z.string().min(1).max(1_000), limit: z.int().min(1).max(200).default(20) }),
      run: async ({ query, limit }) => {
        const { results, indexing } = await notes.search(query, limit);
        const text = results.map(
          (hit) => `${hit.path} | ${hit.title}\n  ${hit.snippet.replaceAll(/\s+/g, ' ')}`,
        );
        return `${text.join('\n') || 'Nothing found.'}${indexing ? INDEXING : ''}`;
      },
    }),
    defineTool({
      name: 'vault_links',
      description: 'Which notes a note links to by [[wikilinks]], and which link to it.',
      effect: 'none',
      input: z.object({ path }),
      run: async (input) => {
        const { links } = await notes.read(input.path);
        const { backlinks } = await notes.backlinks(input.path, LINKS_MAX);
        const list = (each: readonly string[]) =>
          [...new Set(each)].slice(0, LINKS_MAX).join('\n') || '(none)';
        return `Links to:\n${list(links)}\n\nLinked from:\n${list(backlinks.map((link) => link.path))}`;
      },
    }),
  ];
}

interface Listing {
  readonly notes: readonly {
    readonly path: string;
    readonly title: string;
    readonly tags: readonly string[];
  }[];
  readonly indexing?: true;
}

function writers(notes: NoteService): readonly Tool[] {
  return [
    defineTool({
      name: 'vault_write',
      description:
        'Writes a whole note. A new one needs no etag; one that exists needs the etag that vault_read gives. For small changes use vault_patch.',
      effect: 'repeatable',
      input: z.object({ path, content, etag: etag.optional() }),
      run: async (input) => {
        const written = await writeOnce(notes, input.path, input.content, input.etag);
        return `Written: ${written.path}\netag: ${written.etag}`;
      },
    }),
    defineTool({
      name: 'vault_patch',
      description:
        'Replaces a piece of text in a note. The old text must stand there exactly once, unless all is true.',
      effect: 'repeatable',
      input: z.object({
        path,
        etag,
        old_text: z.string().min(1),
        new_text: content,
        all: z.boolean().default(false).describe('Replace it wherever it stands'),
      }),
      run: async ({ path, etag, old_text: old, new_text: text, all }) => {
        const note = await notes.read(path);
        if (note.etag !== etag) throw changed(path);
        if (note.utf8 === false) throw new AppError('vault.not_text', `${path} has bytes that are no text`);
        const count = note.content.split(old).length - 1;
        if (count === 0)
          return { text: `The old text does not stand in ${path}; nothing was changed`, isError: true };
        if (count > 1 && !all) {
          const mend = 'give more of the text around it, or set all';
          return { text: `The old text stands ${count} times in ${path}: ${mend}`, isError: true };
        }
        const written = await notes.write(path, note.content.split(old).join(text), {
          ifMatch: quoted(etag),
        });
        return `Replaced ${count === 1 ? 'once' : `${count} times`} in ${written.path}\netag: ${written.etag}`;
      },
    }),
  ];
}

function movers(notes: NoteService): readonly Tool[] {
  return [
    defineTool({
      name: 'vault_rename',
      description: 'Moves a note, or a folder with all in it, to another path; links are changed too.',
      effect: 'repeatable',
      input: z.object({ path, new_path: path }),
      run: async (input) => {
        const moved = await notes.rename(input.path, input.new_path, true);
        const failed =
          moved.failed.length === 0 ? '' : `\nStill link to the old path: ${moved.failed.join(', ')}`;
        return `Moved ${moved.from} to ${moved.path}; links changed in ${moved.updated.length} notes${failed}`;
      },
    }),
    defineTool({
      name: 'vault_delete',
      description: 'Deletes a note. A person can restore it from the trash for some time.',
      effect: 'repeatable',
      input: z.object({ path, etag }),
      run: async (input) => {
        await notes.remove(input.path, { ifMatch: quoted(input.etag) });
        return `Deleted: ${input.path}`;
      },
    }),
  ];
}

async function writeOnce(notes: NoteService, path: string, content: string, etag: string | undefined) {
  const guard = etag === undefined ? { ifNoneMatch: '*' } : { ifMatch: quoted(etag) };
  try {
    return await notes.write(path, content, guard);
  } catch (error) {
    if (!AppError.is(error) || (error.code !== 'vault.conflict' && error.code !== 'vault.exists'))
      throw error;
    const there = await notes.read(path).catch(() => undefined);
    // Written before, by this very call or another one: it is as it should be.
    if (there?.content === content) return there;
    if (there === undefined) throw error;
    if (etag !== undefined) throw changed(path);
    throw new AppError('vault.exists', `${path} exists: read it, and give its etag to replace it`);
  }
}

function quoted(etag: string): string {
  return `"${etag}"`;
}

function changed(path: string): AppError {
  return new AppError('vault.conflict', `${path} has changed since it was read: read it again`);
}
