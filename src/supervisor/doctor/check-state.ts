/** What lies on the disk: who may read it, how much room is left, whether the database can be opened, how much there is. */
import { constants, type Stats } from 'node:fs';
import { access, lstat, readdir, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import prettyBytes from 'pretty-bytes';
import { DEFAULT_LIMITS } from '../../contract/limits.ts';
import { MIGRATIONS } from '../../storage/migrations.ts';
import { editConfig } from '../backup/without-secrets.ts';
import type { ExaminedAgent } from './examined-agent.ts';
import { type Finding, finding } from './finding.ts';
import { readDatabaseFacts } from './sqlite-header.ts';

export async function checkState(agent: ExaminedAgent, nowMs: number): Promise<readonly Finding[]> {
  const files = await filesOf(agent);
  return [
    ...(await checkPermissions(agent, files)),
    ...(await checkDisk(agent)),
    ...(await checkDatabase(agent)),
    ...(await checkLogs(agent)),
    ...checkClock(agent, files, nowMs),
  ];
}

interface StateFile {
  readonly path: string;
  readonly stats: Stats;
}

const DB_ENDS = ['', '-wal', '-shm'];

function dbPathOf({ prepared, real }: ExaminedAgent): string {
  return prepared?.settings.dbPath ?? join(real, 'openagent.db');
}

/** Those that hold what was said, and secrets. */
async function filesOf(agent: ExaminedAgent): Promise<readonly StateFile[]> {
  const { real } = agent;
  const logs = join(real, 'logs');
  const logNames = await readdir(logs).catch(() => []);
  const versions = join(real, '.config-versions');
  const versionNames = await readdir(versions).catch(() => []);
  const paths = [
    agent.file,
    ...DB_ENDS.map((end) => dbPathOf(agent) + end),
    ...logNames.filter((name) => name.endsWith('.jsonl')).map((name) => join(logs, name)),
    ...versionNames.map((name) => join(versions, name)),
  ];
  const found = await Promise.all(
    paths.map(async (path) => ({ path, stats: await stat(path).catch(() => undefined) })),
  );
  return found.flatMap(({ path, stats }) => (stats?.isFile() ? [{ path, stats }] : []));
}

const OTHERS = 0o077;
const OTHERS_ENTER = 0o011;

async function checkPermissions(
  agent: ExaminedAgent,
  files: readonly StateFile[],
): Promise<readonly Finding[]> {
  if (process.platform === 'win32') return [];
  const { id, real, dir } = agent;
  const stats = await stat(real);
  const modeOf = ({ mode }: Stats): string => (mode & 0o777).toString(8).padStart(4, '0');
  const findings: Finding[] = [];
  if ((stats.mode & OTHERS) !== 0) {
    const text = `${dir} has mode ${modeOf(stats)}`;
    findings.push(finding('permissions.directory', { agent: id, text, file: dir, values: { path: dir } }));
  }
  const isOpen = (stats.mode & OTHERS_ENTER) !== 0;
  const readable = files.filter((file) => (file.stats.mode & OTHERS) !== 0);
  const config = readable.find(({ path }) => path === agent.file);
  const secret = isOpen && config !== undefined ? firstSecret(agent) : undefined;
  if (config !== undefined && secret !== undefined) {
    const text = `${config.path} has mode ${modeOf(config.stats)}, and ${secret} stands in it`;
    findings.push(
      finding('permissions.secrets', { agent: id, text, file: config.path, values: { path: config.path } }),
    );
  }
  const rest = readable.filter((file) => file !== config || secret === undefined);
  if (rest.length > 0) {
    const text = rest.map(({ path, stats: one }) => `${basename(path)} (${modeOf(one)})`).join(', ');
    const code = isOpen ? 'permissions.file' : 'permissions.file_covered';
    const paths = rest.map(({ path }) => path);
    findings.push(
      finding(code, { agent: id, text: `others may read ${text}`, file: dir, values: { paths } }),
    );
  }
  return [...findings, ...checkOwner(agent, stats, files)];
}

/** Which key; never the value. */
function firstSecret({ id, config }: ExaminedAgent): string | undefined {
  try {
    const edit = { agentId: id, withSecrets: false, values: {} };
    return editConfig(config?.source ?? '', edit).leftOut[0]?.key;
  } catch {
    return undefined; // no YAML: told as such
  }
}

function checkOwner({ id, dir }: ExaminedAgent, stats: Stats, files: readonly StateFile[]): Finding[] {
  const own = process.getuid?.() ?? stats.uid;
  // Root looks after everybody's agents; each should be one user's as a whole.
  const wanted = own === 0 ? stats.uid : own;
  const others = [{ path: dir, stats }, ...files].filter((file) => file.stats.uid !== wanted);
  if (others.length === 0) return [];
  const names = others.map(
    ({ path, stats: one }) => `${path === dir ? 'the directory' : basename(path)} (user ${one.uid})`,
  );
  const text = `not of user ${wanted}: ${names.join(', ')}`;
  const values = { owner: wanted, path: dir };
  return [finding('permissions.owner', { agent: id, text, file: dir, values })];
}

/** Below this not even a turn may find room. */
const FULL_BYTES = 16 * 1024 * 1024;
const INODES_MIN = 1_000;

async function checkDisk({ id, real, dir, prepared }: ExaminedAgent): Promise<readonly Finding[]> {
  const about = { agent: id, file: dir, values: { path: dir } };
  const findings: Finding[] = [];
  const refused = await access(real, constants.W_OK | constants.X_OK).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code ?? 'unknown',
  );
  if (refused === 'EROFS') {
    findings.push(finding('disk.read_only', { ...about, text: `${dir} lies on a read-only file system` }));
  } else if (refused !== undefined) {
    findings.push(
      finding('directory.unwritable', { ...about, text: `${dir} cannot be written (${refused})` }),
    );
  }
  const { bavail, bsize, files, ffree } = await statfs(real);
  const free = bavail * bsize;
  const reserve = prepared?.settings.limits.uploadReserveBytes ?? DEFAULT_LIMITS.uploadReserveBytes;
  const left = `${prettyBytes(free)} are free on the disk of ${dir}`;
  if (free < FULL_BYTES) findings.push(finding('disk.full', { ...about, text: left }));
  else if (free < reserve) {
    const text = `${left}, and ${prettyBytes(reserve)} are kept back from uploads`;
    findings.push(finding('disk.low', { ...about, text }));
  }
  // Some file systems have no fixed number of files and say 0.
  if (files > 0 && ffree < INODES_MIN) {
    findings.push(
      finding('disk.inodes', { ...about, text: `${ffree} more files can be made on the disk of ${dir}` }),
    );
  }
  return findings;
}

const WAL_BYTES_MAX = 64 * 1024 * 1024;

async function checkDatabase(agent: ExaminedAgent): Promise<readonly Finding[]> {
  const { id, dir } = agent;
  const file = dbPathOf(agent);
  const about = { agent: id, file };
  const findings: Finding[] = [];
  const facts = await readDatabaseFacts(file).catch((error: Error) => ({ schema: 0, damage: error.message }));
  if (facts?.damage !== undefined) {
    const text = `${file} is damaged: ${facts.damage}`;
    findings.push(finding('database.damaged', { ...about, text, values: { path: dir } }));
  } else if (facts !== undefined && facts.schema > MIGRATIONS.length) {
    const text = `${file} has schema ${facts.schema}, and this version knows ${MIGRATIONS.length}`;
    findings.push(finding('database.newer', { ...about, text }));
  } else if (facts !== undefined && facts.schema < MIGRATIONS.length) {
    const text = `${file} has schema ${facts.schema} of ${MIGRATIONS.length}`;
    findings.push(finding('database.behind', { ...about, text, values: { path: dir } }));
  }
  const wal = await stat(`${file}-wal`).catch(() => undefined);
  if (wal !== undefined && wal.size > WAL_BYTES_MAX) {
    const text = `${file}-wal has grown to ${prettyBytes(wal.size)}`;
    findings.push(finding('database.wal_large', { ...about, text, values: { path: file } }));
  }
  return findings;
}

/** Files that are being rotated, and incidents, are beside those that count. */
const LOG_SLACK = 2;

async function checkLogs({ id, real, prepared }: ExaminedAgent): Promise<readonly Finding[]> {
  const { rotateBytes, keepFiles } = prepared?.settings.logging ?? {
    rotateBytes: 10 * 1024 * 1024,
    keepFiles: 5,
  };
  const dir = join(real, 'logs');
  const names = await readdir(dir).catch(() => []);
  const sizes = await Promise.all(
    names.map(async (name) => (await lstat(join(dir, name)).catch(() => undefined))?.size ?? 0),
  );
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const allowed = rotateBytes * (keepFiles + 1) * LOG_SLACK;
  if (total <= allowed) return [];
  const text = `${dir} holds ${prettyBytes(total)}, and ${keepFiles} files of ${prettyBytes(rotateBytes)} are kept`;
  return [finding('log.large', { agent: id, text, file: dir, values: { path: dir } })];
}

const AHEAD_MS = 60_000;

function checkClock({ id }: ExaminedAgent, files: readonly StateFile[], nowMs: number): Finding[] {
  const ahead = files.filter(({ stats }) => stats.mtimeMs > nowMs + AHEAD_MS);
  const [first] = ahead;
  if (first === undefined) return [];
  const names = ahead.map(({ path, stats }) => `${basename(path)} (${stats.mtime.toISOString()})`).join(', ');
  const text = `it is ${new Date(nowMs).toISOString()}, and these are later: ${names}`;
  return [finding('machine.clock', { agent: id, text, file: dirname(first.path) })];
}
