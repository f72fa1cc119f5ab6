/** What all agents share: the program and its libraries, memory, bounds of the system, and what announces fleets. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism, freemem, totalmem } from 'node:os';
import prettyBytes from 'pretty-bytes';
import type { Descriptors } from './descriptors.ts';
import { type ExaminedAgent, readSmall } from './examined-agent.ts';
import { type Finding, finding } from './finding.ts';
import type { RunDirectory } from './run-directory.ts';
import { surveyVault, type VaultLink } from './survey-vault.ts';

export interface MachineFacts {
  readonly agents: readonly ExaminedAgent[];
  readonly version: string;
  readonly descriptors: Descriptors | undefined;
  readonly running: RunDirectory;
}

export async function checkMachine(facts: MachineFacts): Promise<readonly Finding[]> {
  return [
    ...checkProgram(facts),
    ...(await checkCodeCache()),
    ...(await checkMemory(facts)),
    ...(await checkOpenFiles(facts)),
    ...(await checkWatching(facts)),
    ...(await checkRunDirectory(facts)),
  ];
}

const require = createRequire(import.meta.url);
/** A variable, so that a bundler leaves the native module outside. */
const UWS_PACKAGE: string = 'uWebSockets.js';
const NODE_MIN = [20, 19] as const;

function checkProgram({ version }: MachineFacts): Finding[] {
  const findings: Finding[] = [];
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
    findings.push(finding('machine.node_old', { text: `Node ${process.versions.node} runs this` }));
  }
  const sqlite = whyNot(() =>
    new (require('better-sqlite3') as new (path: string) => { close(): void })(':memory:').close(),
  );
  if (sqlite !== undefined)
    findings.push(finding('machine.sqlite', { text: `better-sqlite3 does not load: ${sqlite}` }));
  const uws = whyNot(() => require(UWS_PACKAGE));
  if (uws !== undefined)
    findings.push(finding('machine.uws', { text: `uWebSockets.js does not load: ${uws}` }));
  const glibc = glibcVersion();
  const parts = [
    `openagent-supervisor ${version}`,
    `Node ${process.versions.node} on ${process.platform} ${process.arch}${glibc === undefined ? '' : `, glibc ${glibc}`}`,
    uws === undefined ? 'uWebSockets.js loads' : 'node:http serves',
    `${availableParallelism()} cores, ${prettyBytes(totalmem())} of memory`,
  ];
  return [finding('machine.ok', { text: parts.join('; ') }), ...findings];
}

/** Undefined: another C library, or another system. */
function glibcVersion(): string | undefined {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  // Else it looks up the names of all addresses.
  report.excludeNetwork = true;
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime;
}

const WHY_CHARS = 200;

function whyNot(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    const [line = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    return line.slice(0, WHY_CHARS);
  }
}

/** Beside the bundles; a program that runs from its sources has none. */
async function checkCodeCache(): Promise<Finding[]> {
  const names = await readdir(import.meta.dirname).catch((): string[] => []);
  if (!names.includes('host.cjs')) return [];
  const own = `.${process.version}-${process.arch}-`;
  if (names.some((name) => name.startsWith('agent.cjs.') && name.includes(own))) return [];
  const others = names.flatMap((name) => /^agent\.cjs\.[0-9a-f]+\.(v[\d.]+-\w+)-/.exec(name)?.[1] ?? []);
  const whose = others.length === 0 ? 'there is none' : `there is one of ${others.join(', ')}`;
  return [finding('machine.code_cache', { text: `no code cache of Node ${process.version}: ${whose}` })];
}

const HOST_BYTES = 120 * 1024 * 1024;
const AGENT_BYTES = 20 * 1024 * 1024;

async function checkMemory({ agents }: MachineFacts): Promise<Finding[]> {
  const waiting = agents.filter(({ holder }) => holder?.isLive !== true);
  if (waiting.length === 0) return [];
  const free = await freeMemory();
  const wanted = HOST_BYTES + waiting.length * AGENT_BYTES;
  if (free >= wanted) return [];
  const text = `${prettyBytes(free)} are free, and ${waiting.length} agents at rest take some ${prettyBytes(wanted)}`;
  return [finding('machine.memory', { text })];
}

/** Of the machine, or of the container where that is less. */
async function freeMemory(): Promise<number> {
  const info = await readFile('/proc/meminfo', 'latin1').catch(() => '');
  const available = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(info)?.[1] ?? Number.NaN) * 1024;
  const bytesOf = async (name: string): Promise<number> =>
    Number.parseInt((await readSmall(`/sys/fs/cgroup/${name}`, 64)) ?? '', 10);
  const ofGroup = (await bytesOf('memory.max')) - (await bytesOf('memory.current'));
  const ofMachine = Number.isFinite(available) ? available : freemem();
  return Number.isFinite(ofGroup) ? Math.min(ofMachine, ofGroup) : ofMachine;
}

const HOST_FILES = 256;
const AGENT_FILES = 64;

async function checkOpenFiles({ agents }: MachineFacts): Promise<Finding[]> {
  const text = await readFile('/proc/self/limits', 'latin1').catch(() => '');
  // Node raises its own bound to the hard one when it starts.
  const hard = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(text)?.[1] ?? Number.NaN);
  const wanted = HOST_FILES + agents.length * AGENT_FILES;
  if (!(hard < wanted)) return [];
  const count = 2 ** Math.ceil(Math.log2(wanted));
  return [
    finding('machine.files', {
      text: `${hard} files may be open, and ${agents.length} agents may need ${wanted}`,
      values: { count },
    }),
  ];
}

/** As in `../vault-watch`. */
const FOLDERS_MAX = 20_000;
const SHARE = 0.5;
const WATCHERS_FREE_MIN = 4;
/** Whoever links one folder links many. */
const LINKS_SHOWN_MAX = 5;

async function checkWatching({ agents, descriptors }: MachineFacts): Promise<Finding[]> {
  const findings: Finding[] = [];
  let folders = 0;
  for (const { id, prepared } of agents) {
    if (prepared === undefined) continue;
    const path = prepared.settings.vaultPath;
    const vault = await surveyVault(path, FOLDERS_MAX + 1);
    folders += vault.folders;
    findings.push(...vault.links.slice(0, LINKS_SHOWN_MAX).map((link) => linkFinding(id, link)));
    if (vault.folders <= FOLDERS_MAX) continue;
    const text = `${path} has more than ${FOLDERS_MAX} folders`;
    findings.push(finding('vault.folders', { agent: id, text, file: path, values: { path } }));
  }
  const watches = await inotifyLimit('max_user_watches');
  if (watches !== undefined && folders > watches * SHARE) {
    const count = 2 ** Math.ceil(Math.log2(folders / SHARE));
    const text = `the vaults have ${folders} folders, and ${watches} may be watched by all programs`;
    findings.push(finding('machine.inotify_watches', { text, values: { count } }));
  }
  const instances = await inotifyLimit('max_user_instances');
  const used = descriptors?.watchers ?? 0;
  if (instances !== undefined && instances - used < WATCHERS_FREE_MIN) {
    const text = `${used} of ${instances} watchers are in use`;
    findings.push(finding('machine.inotify_instances', { text, values: { count: instances * 4 } }));
  }
  return findings;
}

function linkFinding(agent: string, { path, target }: VaultLink): Finding {
  const text = `${path} leads to ${target}: nothing behind it is read, listed or searched`;
  return finding('vault.link', { agent, text, file: path, values: { path, target } });
}

async function inotifyLimit(name: string): Promise<number | undefined> {
  const limit = Number.parseInt((await readSmall(`/proc/sys/fs/inotify/${name}`, 32)) ?? '', 10);
  return limit > 0 ? limit : undefined;
}

const OTHERS = 0o077;

async function checkRunDirectory({ running, version }: MachineFacts): Promise<Finding[]> {
  const { dir: path, live, stale } = running;
  const findings: Finding[] = stale.map((file) =>
    finding('leftover.socket', { text: `${file} is of a fleet that is gone`, file, values: { path: file } }),
  );
  const stats = await stat(path).catch(() => undefined);
  if (stats !== undefined && process.platform !== 'win32' && (stats.mode & OTHERS) !== 0) {
    const text = `${path} has mode ${(stats.mode & 0o777).toString(8).padStart(4, '0')}`;
    findings.push(finding('permissions.run_directory', { text, file: path, values: { path } }));
  }
  for (const fleet of live) {
    if (fleet.version === version) continue;
    const text = `process ${fleet.pid} runs version ${fleet.version}, this is ${version}`;
    findings.push(finding('fleet.version', { text }));
  }
  return findings;
}
