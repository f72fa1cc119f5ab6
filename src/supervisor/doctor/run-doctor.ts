/**
 * `doctor` as a command: looks at everything an agent needs and changes nothing: no file is made, written or locked, no
 * port is bound, no lock is opened, no database is opened by SQLite. So it may run beside a fleet, or instead of one that
 * does not start.
 */
import { stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { CommandContext } from '../../commands/command-context.ts';
import type { CommandExitCode } from '../../commands/exit-codes.ts';
import { CONFIG_NAME } from '../config/read-config.ts';
import { checkConfig } from './check-config.ts';
import { checkMachine } from './check-machine.ts';
import { checkPorts } from './check-ports.ts';
import { checkRun } from './check-run.ts';
import { checkState } from './check-state.ts';
import { readDescriptors } from './descriptors.ts';
import { type ExaminedAgent, examineAgent } from './examined-agent.ts';
import { type Finding, finding } from './finding.ts';
import { printFindings } from './print-findings.ts';
import { type RunDirectory, readAnnouncements } from './run-directory.ts';

export interface DoctorOptions {
  /** None: those of the fleets that run, else the one that one is in. */
  readonly dirs: readonly string[];
  readonly json: boolean;
}

export async function runDoctor(options: DoctorOptions, context: CommandContext): Promise<CommandExitCode> {
  const { env, homeDir, cwd } = context;
  const running = await readAnnouncements(env, homeDir);
  const dirs = await meantDirs(options.dirs, cwd, running);
  if (dirs.length === 0) {
    const message = `no fleet runs, and ${cwd} is no agent's directory: name one, such as openagent-supervisor doctor agents/*`;
    if (options.json)
      context.err.write(`${JSON.stringify({ error: message, code: 'directory.not_agent' })}\n`);
    else context.err.write(`error: ${message}\n`);
    return 2;
  }
  const findings = await findAll(dirs, running, context);
  printFindings(findings, dirs, options, context);
  return findings.some(({ severity }) => severity === 'error') ? 1 : 0;
}

/** Files among them are ignored, as they are at a start: `agents/*` may have a README. */
async function meantDirs(
  given: readonly string[],
  cwd: string,
  { live }: RunDirectory,
): Promise<readonly string[]> {
  if (given.length > 0) {
    const dirs = [...new Set(given.map((dir) => resolve(cwd, dir)))];
    const found = await Promise.all(dirs.map((dir) => stat(dir).catch(() => undefined)));
    return dirs.filter((_, index) => found[index] === undefined || found[index]?.isDirectory());
  }
  if (live.length > 0) return [...new Set(live.flatMap(({ dirs }) => dirs))];
  const here = await stat(join(cwd, CONFIG_NAME)).catch(() => undefined);
  return here === undefined ? [] : [cwd];
}

export async function findAll(
  dirs: readonly string[],
  running: RunDirectory,
  { env, homeDir, version, wallMs, signal }: CommandContext,
): Promise<readonly Finding[]> {
  const agents: ExaminedAgent[] = [];
  const findings: Finding[] = [...checkIds(dirs)];
  for (const dir of dirs) {
    signal.throwIfAborted();
    const examined = await examineAgent(dir, env, homeDir);
    findings.push(...examined.findings);
    if (examined.agent !== undefined) agents.push(examined.agent);
  }
  const descriptors = await readDescriptors();
  const ofMachine = await checkMachine({ agents, version, descriptors, running });
  for (const agent of agents) {
    signal.throwIfAborted();
    const nowMs = wallMs();
    findings.push(
      ...(await checkConfig(agent)),
      ...(await checkRun(agent, nowMs)),
      ...(await checkState(agent, nowMs)),
    );
  }
  findings.push(...checkPorts(agents, descriptors?.listeners));
  const all = [...ofMachine, ...findings];
  const isFine = (id: string): boolean =>
    !all.some(({ agent, severity }) => agent === id && (severity === 'error' || severity === 'warning'));
  const fine = agents.filter(({ id }) => isFine(id)).map(toFine);
  return [...all, ...fine];
}

function toFine({ id, dir, holder }: ExaminedAgent): Finding {
  const text = holder?.isLive
    ? `nothing is wrong, and it is run by process ${holder.pid}`
    : 'nothing is wrong';
  return finding('agent.ok', { agent: id, text, file: dir });
}

function checkIds(dirs: readonly string[]): readonly Finding[] {
  const first = new Map<string, string>();
  return dirs.flatMap((dir) => {
    const id = basename(dir);
    const other = first.get(id);
    if (other === undefined) {
      first.set(id, dir);
      return [];
    }
    const text = `${dir} and ${other} would both have the id ${id}`;
    return [finding('directory.id_duplicate', { agent: id, text, file: dir, values: { path: dir } })];
  });
}
