/**
 * Chooses the transport. uWebSockets.js is optional and native: whether it loads depends on the platform, the libc and
 * the Node version, and an agent must start either way and say which one it got.
 */
import { createRequire } from 'node:module';
import { AppError } from '../../contract/errors.ts';
import type { TransportChoice } from '../../contract/worker-protocol.ts';
import type { TransportFactory } from '../transport.ts';
import { createUwsTransport } from './uws.ts';
import type { Uws } from './uws-types.ts';

/** A variable, so that a bundler leaves the native module outside. */
const UWS_PACKAGE: string = 'uWebSockets.js';

export interface LoadedTransport {
  readonly factory: TransportFactory;
  /** Why it is not the default one, for the start line; undefined when there is nothing to say. */
  readonly note: string | undefined;
}

export async function loadTransport(
  choice: TransportChoice,
  requireUws: () => Uws = requireInstalledUws,
): Promise<LoadedTransport> {
  if (choice === 'node') return { factory: await loadNode(), note: undefined };
  try {
    return { factory: createUwsTransport(requireUws()), note: undefined };
  } catch (error) {
    const why = toOneLine(error);
    if (choice === 'auto') {
      return {
        factory: await loadNode(),
        note: `uWebSockets.js does not load here (${why}); using node:http`,
      };
    }
    throw new AppError(
      'transport.unavailable',
      `The uws transport was asked for, but uWebSockets.js does not load (${why}). ` +
        'Run `npm install` with optional dependencies, or start with `--transport auto` or `--transport node`.',
      { cause: error },
    );
  }
}

/** Loaded when needed: it brings http, tls and zlib, a third of what an agent's thread evaluates at its start. */
async function loadNode(): Promise<TransportFactory> {
  return (await import('./node.ts')).createNodeTransport;
}

export function requireInstalledUws(): Uws {
  return createRequire(import.meta.url)(UWS_PACKAGE) as Uws;
}

const WHY_CHARS = 160;

/** Of a loader's page of text the last line names the cause (a missing file, a too old libc). */
function toOneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('- /'));
  const isModuleMissing = error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND';
  const line =
    (isModuleMissing ? lines[0] : lines.find((each) => each.startsWith('Error: '))) ?? lines[0] ?? '';
  const short = line.replace(/^Error: /, '').trim();
  return short.length > WHY_CHARS ? `${short.slice(0, WHY_CHARS - 1)}…` : short;
}
