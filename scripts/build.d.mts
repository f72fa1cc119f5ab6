import type { Metafile } from 'esbuild';

export interface Bundle {
  readonly name: string;
  readonly code: string;
  readonly hash: string;
  readonly map: string;
  readonly metafile: Metafile;
}

export const ENTRIES: { readonly agent: string; readonly host: string };
export function bundle(entry: string, name: string): Promise<Bundle>;
export function buildInto(dir: string, entries: Record<string, string>): Promise<readonly Bundle[]>;
export function makeCodeCaches(dir: string): void;
