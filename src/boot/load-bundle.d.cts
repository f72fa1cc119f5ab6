import type { Script } from 'node:vm';

export interface Compiled {
  readonly script: Script;
  readonly cacheFile: string;
  readonly isCached: boolean;
}

export interface Loaders {
  readonly require: NodeJS.Require;
  readonly importModule: (specifier: string) => Promise<unknown>;
  readonly loadLazy?: (room: string) => Record<string, unknown>;
}

export interface BundleFile {
  readonly file: string;
  readonly hash: string;
}

export type Ran = Compiled & { readonly exports: Record<string, unknown> };

export function cacheFileOf(bundleFile: string, bundleHash: string): string;
export function compileBundle(bundleFile: string, bundleHash: string): Compiled;
export function runBundle(bundleFile: string, bundleHash: string, loaders: Loaders): Ran;
export function runSplitBundle(
  start: BundleFile,
  laterOf: (room: string) => BundleFile,
  loaders: Omit<Loaders, 'loadLazy'>,
): Ran & { readonly loadLazy: (room: string) => Ran };
