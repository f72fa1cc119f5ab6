/** What REST handlers and tools may ask of the vault. Paths are checked behind it: every caller is confined alike. */
import type {
  BacklinksAnswer,
  NoteContent,
  RenamedNote,
  SearchAnswer,
  TrashedNotes,
  WrittenNote,
} from '../../contract/schemas/vault.ts';

/** The JSON of an answer that is kept from one request to the next. */
export interface EncodedAnswer {
  readonly json: Uint8Array;
  readonly etag: string;
}

/** The headers of HTTP as they came; `''` and absent are the same. */
export interface NoteGuard {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

export interface NoteListOptions {
  readonly limit: number;
  readonly offset: number;
  readonly folder?: string | undefined;
  readonly tag?: string | undefined;
}

export interface VaultService {
  list(options: NoteListOptions): Promise<EncodedAnswer>;
  graph(options: { readonly limit: number }): Promise<EncodedAnswer>;
  search(query: string, limit: number): Promise<SearchAnswer>;
  backlinks(path: string, limit: number): Promise<BacklinksAnswer>;
  read(path: string): Promise<NoteContent>;
  write(path: string, content: string, guard?: NoteGuard): Promise<WrittenNote>;
  remove(path: string, guard?: NoteGuard): Promise<{ readonly trashId: string }>;
  rename(from: string, to: string, updateLinks: boolean): Promise<RenamedNote>;
  folders(limit: number): Promise<readonly string[]>;
  createFolder(path: string): Promise<{ readonly path: string; readonly created: boolean }>;
  removeFolder(path: string): Promise<void>;
  trash(limit: number): Promise<TrashedNotes>;
  restore(id: string, path?: string): Promise<{ readonly path: string }>;
}
