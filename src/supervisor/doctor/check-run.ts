/** Who has the agent, and what its last run has left behind. */
import { lstat, readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { activityLabel } from '../../contract/vitals.ts';
import { readChildRecord, readMachineBoot, readStartTime } from '../../storage/child-record.ts';
import { readPortFile } from '../ports.ts';
import { isAlive } from '../process-facts.ts';
import { readBreadcrumb } from '../read-breadcrumb.ts';
import type { ExaminedAgent } from './examined-agent.ts';
import { type Finding, finding } from './finding.ts';

export async function checkRun(agent: ExaminedAgent, nowMs: number): Promise<readonly Finding[]> {
  const findings = [...checkLock(agent), ...(await checkTemporary(agent, nowMs))];
  if (agent.holder?.isLive) return findings;
  return [...findings, ...checkPortFile(agent), ...checkChildren(agent), ...(await checkCrumb(agent))];
}

function checkLock({ id, real, holder }: ExaminedAgent): Finding[] {
  if (holder === undefined) return [];
  const { pid, version, host, startedAt, isLive } = holder;
  const about = { agent: id, file: join(real, '.lock.json') };
  const who = `process ${pid} (openagent-supervisor ${version}, since ${startedAt})`;
  if (isLive) return [finding('lock.held', { ...about, text: `${who} runs it` })];
  if (host === hostname()) return [finding('lock.stale', { ...about, text: `${who} is gone` })];
  return [finding('lock.elsewhere', { ...about, text: `${who} on ${host} has it, or was killed there` })];
}

function checkPortFile({ id, real }: ExaminedAgent): Finding[] {
  const port = readPortFile(real);
  if (port === undefined) return [];
  const file = join(real, '.port');
  const text = `${file} names port ${port}, and the agent does not run`;
  return [finding('port.stale', { agent: id, text, file, values: { path: file } })];
}

/** By number and start time together: a number alone may be anybody's by now. */
function checkChildren({ id, real }: ExaminedAgent): Finding[] {
  const record = readChildRecord(real);
  if (record === undefined || record.machineBoot !== readMachineBoot()) return [];
  const pids = record.children
    .filter(({ pid, startTime }) => startTime !== undefined && readStartTime(pid) === startTime)
    .map(({ pid }) => String(pid));
  if (pids.length === 0) return [];
  const text = `programs that the agent started are still there: ${pids.join(', ')}`;
  return [
    finding('leftover.children', {
      ...{ agent: id, text, file: join(real, '.children.json'), values: { pids } },
    }),
  ];
}

async function checkCrumb({ id, real }: ExaminedAgent): Promise<Finding[]> {
  const crumb = await readBreadcrumb(real);
  if (crumb === undefined) return [];
  const doing = crumb.activities.map(activityLabel).join(', ') || 'nothing in particular';
  const text = `process ${crumb.pid} was killed while the agent did ${doing}`;
  return [finding('leftover.crumb', { agent: id, text, file: join(real, '.crumb') })];
}

/** A write takes no longer. */
const WRITE_MS = 60_000;
const SHOWN_MAX = 20;
const FOLDERS = ['', '.config-versions', 'logs', join('logs', 'incidents')];

async function checkTemporary(
  { id, real, holder }: ExaminedAgent,
  nowMs: number,
): Promise<readonly Finding[]> {
  const left: string[] = [];
  for (const folder of FOLDERS) left.push(...(await halfWritten(join(real, folder), nowMs)));
  // Of an upload that is still coming in when the agent runs.
  const incoming = join(real, 'uploads', '.incoming');
  if (!holder?.isLive && (await readdir(incoming).catch(() => [])).length > 0) left.push(incoming);
  left.push(...(await placesBeside(real)));
  return left.slice(0, SHOWN_MAX).map((path) =>
    finding('leftover.temporary', {
      ...{ agent: id, text: `${path} was never finished`, file: path, values: { path } },
    }),
  );
}

async function halfWritten(dir: string, nowMs: number): Promise<readonly string[]> {
  const names = await readdir(dir).catch(() => []);
  const old: string[] = [];
  for (const name of names) {
    if (!/\.tmp$|^\.openagent\.yaml\.[0-9a-f-]{12,}$|^\.lock\.json\.[0-9a-f-]{36}$/.test(name)) continue;
    const found = await lstat(join(dir, name)).catch(() => undefined);
    if (found && nowMs - found.mtimeMs > WRITE_MS) old.push(join(dir, name));
  }
  return old;
}

/** Of restores to this directory that were killed; see `../backup/temporary-place.ts`. */
async function placesBeside(real: string): Promise<readonly string[]> {
  const names = await readdir(dirname(real)).catch(() => []);
  const prefix = `.${basename(real)}.`;
  return names
    .filter((name) => {
      const pid = name.startsWith(prefix) && /^(\d+)-[0-9a-f]{12}\.tmp$/.exec(name.slice(prefix.length))?.[1];
      return pid && !isAlive(Number(pid));
    })
    .map((name) => join(dirname(real), name));
}
