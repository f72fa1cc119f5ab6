import type { Metafile } from 'esbuild';

export interface Bundle {
  readonly name: string;
  readonly code: string;
  readonly hash: string;
  readonly map: string;
  readonly metafile: Metafile;
}

export interface Entries {
  readonly agent: string;
  readonly host: string;
}

export const ENTRIES: Entries;

export function bundleSplit(
  entry: string,
  name: string,
): Promise<readonly [start: Bundle, ...later: Bundle[]]>;
export function bundle(entry: string, name: string): Promise<Bundle>;
export function buildInto(dir: string, entries: Entries): Promise<readonly Bundle[]>;
export function buildRelease(
  dist: string,
  entries: Entries,
  warm?: (dir: string) => void,
): Promise<readonly Bundle[]>;
export function makeCodeCaches(dir: string): void;
export function buildSdk(dir: string): Promise<readonly (readonly string[])[]>;
