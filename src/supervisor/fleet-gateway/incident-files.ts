/**
 * Incidents as they stand on the disk, `<dir>/logs/incidents/<name>.json`. A name comes from a stranger and an agent may
 * put anything into its directory, so no link is followed, nothing but a file is read, and no more of it than fits.
 */
import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { IncidentSummary } from '../../contract/fleet/schemas.ts';

/** What its file says; more fields are whatever was found. */
export type Incident = { readonly agent: string; readonly event: string; readonly ts: number } & Readonly<
  Record<string, unknown>
>;

export interface IncidentPlace {
  readonly agent: string;
  readonly dir: string;
}

const NAME = /^\w[\w.-]{0,99}$/;
const ENDING = '.json';
/** `O_NONBLOCK`: a pipe in its place would hold one of the few threads that all reading needs. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** The newest of all places, newest first. What cannot be read is left out. */
export async function listIncidents(
  places: readonly IncidentPlace[],
  limit: number,
  bytesMax: number,
): Promise<IncidentSummary[]> {
  const found: { readonly place: IncidentPlace; readonly name: string }[] = [];
  for (const place of places) for (const name of await namesIn(place, limit)) found.push({ place, name });
  // Names are times.
  found.sort((a, b) => (a.name < b.name ? 1 : a.name > b.name ? -1 : 0));
  const summaries: IncidentSummary[] = [];
  for (const { place, name } of found) {
    if (summaries.length >= limit) break;
    const incident = await readIncident(place, name, bytesMax);
    if (incident === undefined) continue;
    const { ts, event, text } = incident;
    summaries.push({ agent: place.agent, name, ts, event, text: typeof text === 'string' ? text : '' });
  }
  return summaries;
}

/** Undefined: there is none of that name, or what is there is no incident. */
export async function readIncident(
  { agent, dir }: IncidentPlace,
  name: string,
  bytesMax: number,
): Promise<Incident | undefined> {
  if (!NAME.test(name)) return undefined;
  const text = await readText(join(folderOf(dir), `${name}${ENDING}`), bytesMax);
  return text === undefined ? undefined : toIncident(agent, text);
}

async function namesIn({ dir }: IncidentPlace, limit: number): Promise<readonly string[]> {
  const files = await readdir(folderOf(dir)).catch(() => []); // none so far, or nothing that can be read
  return files
    .filter((file) => file.endsWith(ENDING))
    .map((file) => file.slice(0, -ENDING.length))
    .filter((name) => NAME.test(name))
    .sort()
    .slice(-limit);
}

async function readText(path: string, bytesMax: number): Promise<string | undefined> {
  const file = await open(path, OPEN_FLAGS).catch(() => undefined); // gone, a link, or not ours to read
  if (file === undefined) return undefined;
  try {
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > bytesMax) return undefined;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(stats.size), 0, stats.size, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function toIncident(agent: string, text: string): Incident | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const { ts, event } = value as Partial<Incident>;
    if (typeof ts !== 'number' || typeof event !== 'string') return undefined;
    return { ...value, agent, ts, event };
  } catch {
    // Half a file, or somebody else's.
    return undefined;
  }
}

const folderOf = (dir: string): string => join(dir, 'logs', 'incidents');
