import type { Script } from 'node:vm';

export interface Compiled {
  readonly script: Script;
  readonly cacheFile: string;
  readonly isCached: boolean;
}

export interface Loaders {
  readonly require: NodeJS.Require;
  readonly importModule: (specifier: string) => Promise<unknown>;
}

export function cacheFileOf(bundleFile: string, bundleHash: string): string;
export function compileBundle(bundleFile: string, bundleHash: string): Compiled;
export function runBundle(
  bundleFile: string,
  bundleHash: string,
  loaders: Loaders,
): Compiled & { readonly exports: Record<string, unknown> };
