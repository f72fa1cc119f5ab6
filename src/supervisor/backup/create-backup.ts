/**
 * One agent as one file. The database is copied first and the files after it: an agent writes a note or a file before its
 * database says so, and therefore everything that the copy of the database speaks of is there when the files are read.
 * The other way round, a turn could tell of a note that the backup does not have. What was written in between is in the
 * backup as well, and harmless.
 */
import { type FileHandle, open, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { CONFIG_NAME, readConfig } from '../config/read-config.ts';
import { surveyConfig } from '../doctor/config-survey.ts';
import { type Found, type FoundFile, findFiles, isChosen, openFile, type Selection } from './agent-files.ts';
import { type ArchiveWriter, createArchiveWriter, type FileEntry } from './archive-writer.ts';
import { type BackupFile, FORMAT, type LeftOut, MANIFEST_NAME, type Manifest } from './manifest.ts';
import { snapshotDatabase } from './snapshot-database.ts';
import { makeTemporaryPlace, syncDirectory, toWriteError } from './temporary-place.ts';
import { editConfig } from './without-secrets.ts';

export interface BackupRequest {
  /** The agent's directory as given: its base name is the id. */
  readonly dir: string;
  /** Absolute; replaced once the new one is whole. */
  readonly file: string;
  readonly selection: Selection;
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly nowMs: number;
  readonly signal: AbortSignal;
  /** `share`: of a part whose size is known. */
  onProgress(progress: BackupProgress): void;
}

export interface BackupProgress {
  readonly what: string;
  readonly share: number | undefined;
  readonly files: number;
  readonly bytes: number;
}

export interface BackupResult {
  readonly manifest: Manifest;
  /** Of the archive. */
  readonly bytes: number;
  readonly skipped: readonly string[];
}

/** Throws AppError: `backup.refused`, `backup.failed`, `storage.*`, `config.unreadable`. */
export async function createBackup(request: BackupRequest): Promise<BackupResult> {
  const agent = await readAgent(request);
  await refuseInside(agent.dir, request.file);
  const place = await makeTemporaryPlace(request.file);
  try {
    const archive = join(place, 'archive');
    const handle = await open(archive, 'wx', 0o600);
    const result = await fill(handle, { request, agent, place }).finally(() => handle.close());
    request.signal.throwIfAborted();
    await rename(archive, request.file);
    await syncDirectory(dirname(request.file));
    return result;
  } catch (error) {
    throw toWriteError(error, request.file);
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

const DB_NAME = 'openagent.db';
const VAULT_NAME = 'memories';
const DB_COMPANIONS = ['', '-wal', '-shm', '-journal'];

interface AgentToBackUp {
  readonly id: string;
  /** Real. */
  readonly dir: string;
  readonly source: string;
  readonly dbPath: string;
  /** Of the database within the backup. */
  readonly dbName: string;
  /** Directories of the agent that lie elsewhere: the configuration says so, or a link. */
  readonly elsewhere: readonly { readonly path: string; readonly name: string }[];
  /** What the configuration has to say in the copy, where the original leads out of its directory. */
  readonly values: Readonly<Record<string, string>>;
}

/** An agent whose configuration is broken can be backed up, as long as it says where its data is. */
async function readAgent({ dir, env, homeDir }: BackupRequest): Promise<AgentToBackUp> {
  const [id, real] = [basename(resolve(dir)), await realpath(dir)];
  const file = join(resolve(dir), CONFIG_NAME);
  const source = await readConfig(file);
  const { problems, usable } = surveyConfig({ id, dir: real }, file, source, { env, homeDir });
  const unclear = problems.find(({ key }) => key === '' || key.startsWith('memory'));
  if (usable === undefined || unclear) {
    const { line, column, text } = unclear ?? problems[0] ?? { line: 1, column: 1, text: 'cannot be read' };
    throw new AppError(
      'backup.refused',
      `${file}:${line ?? 1}:${column ?? 1} ${text}. So it is not known where the agent keeps its data: mend it first`,
    );
  }
  const { dbPath, vaultPath } = usable.prepared.settings;
  const [dbInside, vaultInside] = [insideOf(real, dbPath), insideOf(real, vaultPath)];
  const values = {
    ...(dbInside === undefined ? { 'memory.db_path': DB_NAME } : {}),
    ...(vaultInside === undefined ? { 'memory.vault_path': VAULT_NAME } : {}),
  };
  return {
    ...{ id, dir: real, source, dbPath, values, dbName: dbInside ?? DB_NAME },
    elsewhere: [
      ...(vaultInside === undefined ? [{ path: vaultPath, name: VAULT_NAME }] : []),
      ...(await linkedOf(real, [vaultInside ?? VAULT_NAME, ...LINKED])),
    ],
  };
}

/** Whose links an agent follows. */
const LINKED = ['uploads', 'outputs', 'bridges', 'logs'];

async function linkedOf(dir: string, names: readonly string[]) {
  const found = await Promise.all(
    names.map(async (name) => {
      const path = join(dir, name);
      const real = await realpath(path).catch(() => path);
      return real === path ? [] : [{ path: real, name }];
    }),
  );
  return found.flat();
}

/** With `/`, whatever the system writes. */
function insideOf(dir: string, path: string): string | undefined {
  const inside = relative(dir, path);
  const isInside = inside !== '' && inside !== '..' && !inside.startsWith(`..${sep}`);
  return isInside && resolve(dir, inside) === path ? inside.split(sep).join('/') : undefined;
}

/** It would be part of itself, and be lost with what it is for. */
async function refuseInside(dir: string, file: string): Promise<void> {
  const parent = await realpath(dirname(file)).catch((error: unknown) => {
    throw toWriteError(error, file);
  });
  if (parent !== dir && !parent.startsWith(`${dir}${sep}`)) return;
  throw new AppError(
    'backup.refused',
    `${file} would lie in the agent's own directory, and be lost with it. Choose a place outside of ${dir}`,
  );
}

interface Work {
  readonly request: BackupRequest;
  readonly agent: AgentToBackUp;
  readonly place: string;
}

async function fill(handle: FileHandle, work: Work): Promise<BackupResult> {
  const writer = createArchiveWriter(handle);
  try {
    const { manifest, skipped } = await writeEntries(writer, work);
    const text = Buffer.from(`${JSON.stringify(manifest, undefined, 1)}\n`);
    await writer.addFile(fileOf(MANIFEST_NAME, text, work.request.nowMs));
    await writer.end();
    return { manifest, skipped, bytes: (await handle.stat()).size };
  } catch (error) {
    writer.abort();
    throw error;
  }
}

function fileOf(path: string, bytes: Buffer, nowMs: number): FileEntry {
  return { path, size: bytes.length, isProgram: false, modifiedAt: new Date(nowMs), chunks: [bytes] };
}

async function writeEntries(
  writer: ArchiveWriter,
  { request, agent, place }: Work,
): Promise<{ manifest: Manifest; skipped: readonly string[] }> {
  const { selection, nowMs, signal } = request;
  const entries = new Entries(writer, request);
  // Before any file: see above.
  const copy = join(place, 'database');
  const snapshot = await snapshotDatabase(
    agent.dbPath,
    copy,
    (share) => request.onProgress({ what: agent.dbName, share, files: 0, bytes: 0 }),
    signal,
  );
  const config = editConfig(agent.source, {
    ...{ agentId: agent.id, withSecrets: selection.secrets, values: agent.values },
  });
  await entries.add(fileOf(CONFIG_NAME, Buffer.from(config.text), nowMs));
  if (snapshot !== undefined) await entries.addFound({ path: agent.dbName, absolute: copy });
  await entries.addAll(() => findAll(agent, selection));
  const manifest = toManifest(request, agent, entries, config.leftOut, snapshot?.schema);
  return { manifest, skipped: entries.skipped };
}

function toManifest(
  { selection, version, nowMs }: BackupRequest,
  { id, dir, dbName }: AgentToBackUp,
  { files, directories }: Pick<Entries, 'files' | 'directories'>,
  leftOut: readonly LeftOut[],
  schema: number | undefined,
): Manifest {
  return {
    ...{ format: FORMAT, version, agent: id, created: new Date(nowMs).toISOString(), dir },
    ...{ schema: schema ?? null, database: schema === undefined ? null : dbName },
    ...{ includes: { ...selection }, left_out: [...leftOut] },
    directories: [...directories],
    files: [...files],
  };
}

async function findAll(agent: AgentToBackUp, selection: Selection): Promise<Found> {
  const own = new Set([CONFIG_NAME, ...DB_COMPANIONS.map((end) => `${agent.dbName}${end}`)]);
  const take = (path: string): boolean => isChosen(path, selection, own);
  const isElsewhere = (path: string): boolean => agent.elsewhere.some(({ name }) => name === path);
  // What has the name of the vault in the directory itself is not what the agent uses.
  const parts = [await findFiles(agent.dir, '', (path) => !isElsewhere(path) && take(path))];
  for (const { path, name } of agent.elsewhere) {
    if (!take(name)) continue;
    const { files, directories, skipped } = await findFiles(path, name, take);
    parts.push({ files, directories: [name, ...directories], skipped });
  }
  return {
    files: parts.flatMap(({ files }) => files),
    directories: parts.flatMap(({ directories }) => directories),
    skipped: parts.flatMap(({ skipped }) => skipped),
  };
}

/** Looks once more for what moved while it was read; more often is a directory that never rests. */
const LOOKS_MAX = 3;

class Entries {
  readonly files: BackupFile[] = [];
  readonly directories = new Set<string>();
  skipped: readonly string[] = [];
  readonly #paths = new Set<string>();
  readonly #writer: ArchiveWriter;
  readonly #request: BackupRequest;
  #bytes = 0;

  constructor(writer: ArchiveWriter, request: BackupRequest) {
    this.#writer = writer;
    this.#request = request;
  }

  async add(entry: FileEntry): Promise<void> {
    this.#request.signal.throwIfAborted();
    this.#paths.add(entry.path);
    this.files.push(await this.#writer.addFile(entry));
    this.#bytes += entry.size;
    const { files } = this;
    this.#request.onProgress({
      what: entry.path,
      share: undefined,
      files: files.length,
      bytes: this.#bytes,
    });
  }

  async addFound({ path, absolute }: FoundFile): Promise<void> {
    const opened = await openFile(absolute).catch((cause: NodeJS.ErrnoException) => {
      throw new AppError('backup.failed', `${absolute} cannot be read: ${cause.message}`, { cause });
    });
    if (opened === undefined) return;
    try {
      await this.add({ path, ...opened });
    } finally {
      await opened.close();
    }
  }

  async addAll(find: () => Promise<Found>): Promise<void> {
    for (let look = 1; look <= LOOKS_MAX; look += 1) {
      const { files, directories, skipped } = await find();
      this.skipped = skipped;
      for (const path of directories) {
        if (this.directories.has(path)) continue;
        this.directories.add(path);
        await this.#writer.addDirectory(path);
      }
      const fresh = files.filter(({ path }) => !this.#paths.has(path));
      for (const file of fresh) await this.addFound(file);
      // A file that was moved to where had been looked already is nowhere else.
      if (fresh.length === 0) return;
    }
  }
}
