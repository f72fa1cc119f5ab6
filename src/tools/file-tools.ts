/** Files inside the allowed roots as tools. */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { z } from 'zod';
import { AppError } from '../contract/errors.ts';
import type { FileToolSettings } from '../contract/tool-settings.ts';
import { readTextFile, writeTextFile } from './confined-files.ts';
import { type Confinement, createConfinement } from './confined-paths.ts';
import { defineTool } from './define-tool.ts';
import { matchesPattern } from './name-pattern.ts';
import type { Tool, ToolSource } from './tool.ts';
import { walkFiles } from './walk-files.ts';

export interface FileToolsOptions {
  readonly settings: FileToolSettings;
  /** Absolute; no tool reaches them. */
  readonly privateFiles: readonly string[];
}

const path = z.string().min(1).max(4_096).describe('Absolute, or relative to the first allowed directory');
const ENTRIES_MAX = 1_000;
const WALKED_MAX = 20_000;
const SEARCH_DEPTH = 32;
const SEARCHED_BYTES = 64 * 1024 * 1024;
const LINE_CHARS = 300;

export function createFileTools({ settings, privateFiles }: FileToolsOptions): ToolSource {
  const confinement = createConfinement({ roots: settings.roots, privateFiles });
  const tools = [
    listTool(confinement),
    readTool(confinement, settings),
    searchTool(confinement, settings),
    writeTool(confinement, settings),
  ];
  return { name: 'files', tools: () => tools };
}

function listTool(confinement: Confinement): Tool {
  return defineTool({
    name: 'files_list',
    description: 'Lists files and directories. Directories end with a slash; files show their size in bytes.',
    effect: 'none',
    input: z.object({ path: path.default('.'), depth: z.int().min(1).max(8).default(1) }),
    run: async ({ path, depth }, { signal }) => {
      const { real } = await existing(confinement, path);
      if (!(await stat(real)).isDirectory()) throw new AppError('tool.failed', 'This is no directory');
      const lines: string[] = [];
      for await (const entry of walkFiles(real, confinement, { depth, entriesMax: ENTRIES_MAX, signal })) {
        const shown = await confinement.shown(entry.real);
        const size = entry.isDirectory ? undefined : (await stat(entry.real).catch(() => undefined))?.size;
        lines.push(entry.isDirectory ? `${shown}/` : `${shown} (${size ?? '?'} bytes)`);
      }
      const more = lines.length >= ENTRIES_MAX ? `\n(Only the first ${ENTRIES_MAX}.)` : '';
      return `${lines.join('\n') || 'Empty.'}${more}`;
    },
  });
}

function readTool(confinement: Confinement, { maxBytes }: FileToolSettings): Tool {
  return defineTool({
    name: 'files_read',
    description: 'Reads a text file, whole or some of its lines.',
    effect: 'none',
    input: z.object({
      path,
      first_line: z.int().min(1).default(1),
      lines: z.int().min(1).max(1_000_000).optional().describe('How many; without it all'),
    }),
    run: async ({ path, first_line: first, lines }) => {
      const { real } = await existing(confinement, path);
      const { text } = await readTextFile(real, maxBytes);
      if (first === 1 && lines === undefined) return text === '' ? '(The file is empty.)' : text;
      const all = text.split('\n');
      const chosen = all.slice(first - 1, lines === undefined ? undefined : first - 1 + lines);
      return chosen.length === 0 ? `(The file has ${all.length} lines.)` : chosen.join('\n');
    },
  });
}

function searchTool(confinement: Confinement, { maxBytes }: FileToolSettings): Tool {
  return defineTool({
    name: 'files_search',
    description:
      'Searches a text in a file or in all below a directory, or files by name alone. Gives path:line: text. Binary files are skipped.',
    effect: 'none',
    input: z.object({
      text: z.string().min(1).max(1_000).optional().describe('Taken literally'),
      path: path.default('.'),
      name: z.string().min(1).max(255).default('*').describe('Only files with such a name, such as *.md'),
      ignore_case: z.boolean().default(true),
      limit: z.int().min(1).max(500).default(100),
    }),
    run: async ({ text, path, name, ignore_case: ignoresCase, limit }, { signal }) => {
      const { real } = await existing(confinement, path);
      const found: string[] = [];
      let bytes = 0;
      const walk = { depth: SEARCH_DEPTH, entriesMax: WALKED_MAX, signal };
      const isDirectory = (await stat(real)).isDirectory();
      const entries = isDirectory ? walkFiles(real, confinement, walk) : [{ real, isDirectory }];
      for await (const entry of entries) {
        if (entry.isDirectory || !matchesPattern(name, basename(entry.real))) continue;
        const shown = await confinement.shown(entry.real);
        if (text === undefined) found.push(shown);
        else {
          // Too large, binary, or gone meanwhile: nothing can be found in it.
          const file = await readTextFile(entry.real, maxBytes).catch(() => undefined);
          bytes += file?.text.length ?? 0;
          found.push(...hitsIn(shown, file?.text ?? '', text, ignoresCase, limit - found.length));
        }
        if (found.length >= limit || bytes > SEARCHED_BYTES) break;
      }
      const more = found.length >= limit || bytes > SEARCHED_BYTES ? '\n(There may be more.)' : '';
      return `${found.join('\n') || 'Nothing found.'}${more}`;
    },
  });
}

function hitsIn(shown: string, content: string, text: string, ignoresCase: boolean, max: number): string[] {
  const fold = (each: string) => (ignoresCase ? each.toLowerCase() : each);
  const wanted = fold(text);
  if (!fold(content).includes(wanted)) return [];
  const hits: string[] = [];
  for (const [index, line] of content.split('\n').entries()) {
    if (hits.length >= max) break;
    if (fold(line).includes(wanted)) hits.push(`${shown}:${index + 1}: ${line.trim().slice(0, LINE_CHARS)}`);
  }
  return hits;
}

function writeTool(confinement: Confinement, { maxBytes }: FileToolSettings): Tool {
  return defineTool({
    name: 'files_write',
    description: 'Writes a whole text file; directories that are missing are made.',
    effect: 'repeatable',
    defaultDecision: 'ask',
    input: z.object({
      path,
      content: z.string().refine((text) => !/\p{Surrogate}/u.test(text), 'must be valid Unicode'),
      if_exists: z.enum(['fail', 'overwrite']).default('fail'),
    }),
    run: async ({ path, content, if_exists: ifExists }) => {
      const options = { mayReplace: ifExists === 'overwrite', maxBytes };
      const { real, change } = await writeTextFile(confinement, path, content, options);
      const shown = await confinement.shown(real);
      return change === 'none' ? `${shown} has this content already` : `${shown} was ${change}`;
    },
  });
}

async function existing(confinement: Confinement, given: string): Promise<{ readonly real: string }> {
  const { real, exists } = await confinement.locate(given, 'read');
  if (!exists) throw new AppError('file.not_found', 'There is no such file or directory');
  return { real };
}
