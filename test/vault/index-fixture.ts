/** An index in a directory of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type NoteChange, type NoteIndex, openNoteIndex } from '../../src/vault/note-index.ts';

export const ALL = { limit: 1_000_000 };

export function indexFile(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'openagent-index-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'vault-index.db');
}

export function startIndex(t: TestContext, notes: Readonly<Record<string, string>> = {}): NoteIndex {
  const index = openNoteIndex({ file: indexFile(t) });
  t.after(() => index.close());
  index.apply(Object.entries(notes).map(([path, content]) => putOf(path, content)));
  return index;
}

export function putOf(path: string, content: string, mtimeMs = 1_000): NoteChange {
  return { kind: 'put', path, content, mtimeMs, size: Buffer.byteLength(content) };
}
