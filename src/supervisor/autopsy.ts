/**
 * What was read from a stuck agent, made readable: frames with the file and line the user wrote, also where a bridge was
 * built from TypeScript, and one line that says where it hangs. Everything here is about files of the user, which may be
 * gone or anything at all by now: then a place stays as it was read.
 */
import { readFile } from 'node:fs/promises';
import { SourceMap } from 'node:module';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Examination, type Frame, type HeapUse, isUsersScript } from '../autopsy/examine.ts';
import { type Activity, type AgentFacts, activityLabel } from '../contract/vitals.ts';

/** An examination as the machines and the incident know it. */
export interface Autopsy {
  readonly outcome: Examination['outcome'];
  /** `spin (bridges/spin.mjs:12)`: the innermost frame of the user's code, or the innermost one. */
  readonly place: string | undefined;
  /** As in `place`, innermost first, with columns. */
  readonly stack: readonly string[];
  readonly heap: HeapUse | undefined;
  readonly facts: AgentFacts | undefined;
  /** Oldest first. */
  readonly activities: readonly Activity[];
  /** What it printed last, without its secrets. */
  readonly output: readonly string[];
}

export interface AutopsyContext {
  /** Of the agent: paths inside are shown relative to it. */
  readonly dir: string;
  /** Where our own code lies; a frame there is not what an operator looks for. */
  readonly ownDir: string;
  readonly output: readonly string[];
}

interface Place {
  readonly name: string;
  /** Absolute path, or what else the inspector calls it. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Longest module whose source map is looked for. */
const MODULE_CHARS_MAX = 20_000_000;

export async function toAutopsy(
  examination: Examination,
  activities: readonly Activity[],
  context: AutopsyContext,
): Promise<Autopsy> {
  const { outcome, frames, heap, facts } = examination;
  const maps = new Map<string, Promise<SourceMap | undefined>>();
  const places = await Promise.all(frames.map((frame) => toPlace(frame, maps)));
  const shown = places.find((place) => isUsers(place, context)) ?? places[0];
  const stack = places.map((place) => `${label(place, context)}:${place.column})`);
  const place = shown && `${label(shown, context)})`;
  return { outcome, place, stack, heap, facts, activities, output: context.output };
}

/** `hung for 2.0 s in spin (bridges/spin.mjs:12), bridge spin` */
export function hangText(verb: string, silentMs: number, autopsy: Autopsy | undefined): string {
  const last = autopsy?.activities.at(-1);
  const parts = [
    `${verb} for ${(silentMs / 1000).toFixed(1)} s`,
    ...(autopsy?.place === undefined ? [] : [` in ${autopsy.place}`]),
    ...(last === undefined ? [] : [`, ${activityLabel(last)}`]),
    ...(isInNativeCode(autopsy) ? [', in a native call'] : []),
    ...(autopsy?.outcome === 'unreachable' ? [', no stack could be read'] : []),
  ];
  return parts.join('');
}

/** What waits for its disk is not read at all. */
function isInNativeCode(autopsy: Autopsy | undefined): boolean {
  const isRead = autopsy?.outcome !== 'native' || autopsy.place !== undefined;
  return !isRead && autopsy.activities.at(-1)?.kind !== 'storage';
}

function label({ name, file, line }: Place, { dir }: AutopsyContext): string {
  const inside = relative(dir, file);
  const isInside = file.startsWith('/') && !inside.startsWith('..');
  return `${name} (${isInside ? inside : file}:${line}`;
}

function isUsers({ file }: Place, { ownDir }: AutopsyContext): boolean {
  return isUsersScript(file, ownDir);
}

async function toPlace(frame: Frame, maps: Map<string, Promise<SourceMap | undefined>>): Promise<Place> {
  const { name, line, column } = frame;
  const file = toPath(frame.url);
  if (!file.startsWith('/')) return { name, file, line, column };
  const known = maps.get(file) ?? readSourceMap(file);
  maps.set(file, known);
  const entry = (await known)?.findEntry(line - 1, column - 1);
  if (entry === undefined || !('originalSource' in entry) || entry.originalSource === undefined) {
    return { name, file, line, column };
  }
  const source = entry.originalSource;
  const original = source.startsWith('file:') ? toPath(source) : resolve(dirname(file), source);
  return { name, file: original, line: entry.originalLine + 1, column: entry.originalColumn + 1 };
}

function toPath(url: string): string {
  if (!url.startsWith('file:')) return url;
  try {
    return fileURLToPath(url.replace(/[?#].*$/, ''));
  } catch {
    return url;
  }
}

const INLINE_MAP = '//# sourceMappingURL=data:application/json;base64,';

/** Bridges are built with their map inside; other modules may have none, or one of their own elsewhere. */
async function readSourceMap(file: string): Promise<SourceMap | undefined> {
  try {
    const text = await readFile(file, 'utf8');
    const at = text.lastIndexOf(INLINE_MAP);
    if (at < 0 || text.length > MODULE_CHARS_MAX) return undefined;
    const [encoded = ''] = text.slice(at + INLINE_MAP.length).split(/[\r\n]/, 1);
    return new SourceMap(JSON.parse(Buffer.from(encoded, 'base64').toString('utf8')));
  } catch {
    return undefined; // No such file any more, or no map: the place is shown as it was read.
  }
}

/** As it was read, for a line of a log. */
export function frameText({ name, url, line, column }: Frame): string {
  return `${name} (${url}:${line}:${column})`;
}

/** Where our own code lies, by the path or `file:` URL of an agent's entry. */
export function entryDir(entry: string): string {
  return dirname(toPath(entry));
}
