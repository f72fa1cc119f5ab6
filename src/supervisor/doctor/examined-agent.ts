/** What the checks of one agent start from: who has it, what its configuration says, and where it lies. */
import { constants } from 'node:fs';
import { open, realpath, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { CONFIG_NAME, readConfig } from '../config/read-config.ts';
import type { PreparedAgent } from '../fleet.ts';
import { environmentOf, isAlive, startedAtMs } from '../process-facts.ts';
import { type ConfigSurvey, surveyConfig } from './config-survey.ts';
import { type Finding, finding } from './finding.ts';

export interface Holder {
  readonly pid: number;
  readonly version: string;
  readonly host: string;
  readonly startedAt: string;
  /** It is the process that wrote this, and it is of this machine. */
  readonly isLive: boolean;
}

export interface ExaminedAgent {
  readonly id: string;
  /** Absolute, as given. */
  readonly dir: string;
  readonly real: string;
  readonly file: string;
  readonly holder: Holder | undefined;
  /** Undefined: the file cannot be read. */
  readonly config: { readonly source: string; readonly survey: ConfigSurvey } | undefined;
  readonly prepared: PreparedAgent | undefined;
  /** What its programs are looked for with. */
  readonly env: Environment;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export type Examined =
  | { readonly agent: ExaminedAgent; readonly findings: readonly Finding[] }
  | { readonly agent: undefined; readonly findings: readonly Finding[] };

export async function examineAgent(dir: string, env: Environment, homeDir: string): Promise<Examined> {
  const id = basename(dir);
  const refuse = (code: 'directory.missing' | 'directory.not_agent', text: string): Examined => ({
    agent: undefined,
    findings: [finding(code, { agent: id, text, file: dir, values: { path: dir } })],
  });
  const found = await stat(dir).catch(() => undefined);
  if (found === undefined) return refuse('directory.missing', `${dir} does not exist`);
  if (!found.isDirectory()) return refuse('directory.not_agent', `${dir} is no directory`);
  const real = await realpath(dir);
  const file = join(dir, CONFIG_NAME);
  if ((await stat(file).catch(() => undefined)) === undefined) {
    return refuse('directory.not_agent', `${dir} has no ${CONFIG_NAME}`);
  }
  const holder = await readHolder(real);
  // A fleet may have been started with variables that this shell does not have.
  const own = holder?.isLive ? ((await environmentOf(holder.pid)) ?? env) : env;
  const about = { id, dir, real, file, holder, env: own };
  try {
    const source = await readConfig(file);
    const survey = surveyConfig({ id, dir: real }, file, source, { env: own, homeDir });
    const { prepared } = survey.usable ?? {};
    return { agent: { ...about, config: { source, survey }, prepared }, findings: [] };
  } catch (error) {
    if (!AppError.is(error)) throw error;
    const { message: text } = error;
    const unreadable = finding('config.unreadable', { agent: id, text, file, values: { path: file } });
    return { agent: { ...about, config: undefined, prepared: undefined }, findings: [unreadable] };
  }
}

const HOLDER_BYTES = 4_096;
/** The file is written a little after the process began, and clocks are read in different units. */
const TOLERANCE_MS = 5_000;

/** From `.lock.json`. The lock itself is never opened: that alone could take it from its holder. */
async function readHolder(dir: string): Promise<Holder | undefined> {
  const text = await readSmall(join(dir, '.lock.json'), HOLDER_BYTES);
  if (text === undefined) return undefined;
  try {
    const { pid, version, host, startedAt } = JSON.parse(text) as Record<string, unknown>;
    if (typeof pid !== 'number' || typeof host !== 'string' || typeof startedAt !== 'string')
      return undefined;
    const isLive = host === hostname() && isAlive(pid) && !(await isYounger(pid, startedAt));
    return { pid, version: String(version), host, startedAt, isLive };
  } catch {
    return undefined; // somebody edited it; it says nothing then
  }
}

/** The number has been given to another process since. */
async function isYounger(pid: number, writtenAt: string): Promise<boolean> {
  const startMs = await startedAtMs(pid);
  return startMs !== undefined && startMs > Date.parse(writtenAt) + TOLERANCE_MS;
}

/** Undefined: not there, or no plain file. */
export async function readSmall(file: string, bytesMax: number): Promise<string | undefined> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  try {
    const handle = await open(file, O_RDONLY | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0));
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytesMax), 0, bytesMax, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch {
    return undefined; // see above
  }
}
