/**
 * Makes the code caches of dist/ for the Node that runs it: at build, and by the host's wish when its Node has none yet.
 * The agent is really started, in a throw-away directory, so that what its start compiles is what the cache holds.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { constants, setPriority, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { DEFAULT_LIMITS } from '../contract/limits.ts';
import { NO_MCP } from '../contract/mcp-settings.ts';
import { ECHO_SETTINGS } from '../contract/model-settings.ts';
import { NO_SCHEDULE } from '../contract/schedule-settings.ts';
import { DEFAULT_TOOLS } from '../contract/tool-settings.ts';
import {
  WORKER_PROTOCOL,
  type WorkerCommand,
  type WorkerInit,
  type WorkerReport,
} from '../contract/worker-protocol.ts';
import { type BundleFile, cacheFileOf, compileBundle } from './load-bundle.cjs';

const READY_MS = 10_000;
const END_MS = 3_000;

const HASHES = JSON.parse(process.env.BUNDLES as string) as Readonly<Record<string, string>>;
const AGENT_BUNDLES = Object.keys(HASHES).filter((name) => name !== 'host');

function bundleFile(name: string): BundleFile {
  return { file: join(__dirname, `${name}.cjs`), hash: HASHES[name] as string };
}

/** Code caches by the names of their bundles. */
type Caches = Readonly<Record<string, Uint8Array>>;

function initFor(dir: string): WorkerInit {
  return {
    protocol: WORKER_PROTOCOL,
    id: 'code-cache',
    dir,
    version: process.env.PACKAGE_VERSION as string,
    incarnation: 1,
    isolation: 'thread',
    transport: 'auto',
    ports: { first: undefined, preferred: 0, taken: [] },
    heartbeatMs: 1_000,
    settings: {
      name: 'code-cache',
      systemPrompt: '',
      model: ECHO_SETTINGS,
      gateway: {
        host: '127.0.0.1',
        token: undefined,
        allowedHosts: [],
        allowedOrigins: [],
        legacyRest: 'off',
      },
      mcp: NO_MCP,
      bridges: [],
      dbPath: join(dir, 'openagent.db'),
      uploads: { retentionDays: undefined, roots: [] },
      tools: DEFAULT_TOOLS,
      transcription: undefined,
      schedule: NO_SCHEDULE,
      vaultPath: join(dir, 'memories'),
      trashDays: 30,
      limits: DEFAULT_LIMITS,
      logging: { level: 'info', rotateBytes: 1024 * 1024, keepFiles: 1 },
      secrets: [],
    },
  };
}

/** Settles when the started agent's thread is gone. */
let agentEnded: Promise<void> = Promise.resolve();

/** The code caches of an agent that has just become ready: of what it runs by then, and of what it may run later. */
async function warmAgentCaches(dir: string): Promise<Caches> {
  await mkdir(join(dir, 'logs'));
  await mkdir(join(dir, 'memories'));
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(join(__dirname, 'warm-agent.cjs'), {
    workerData: { ...initFor(dir), codeCachePort: port2 },
    transferList: [port2],
  });
  agentEnded = new Promise((resolve) => worker.once('exit', () => resolve()));
  await withDeadline(readyOf(worker), READY_MS, 'the agent was not ready in time');
  const cache = new Promise<Caches>((resolve) => port1.once('message', resolve));
  port1.postMessage('now');
  const code = await withDeadline(cache, READY_MS, 'the agent gave no code cache in time');
  const stop: WorkerCommand = { type: 'shutdown', reason: 'stop', drainMs: 0, closeMs: 1_000 };
  worker.postMessage(stop);
  port1.close();
  return code;
}

/** The code cache of a host whose only agent has just become ready. */
async function warmHostCache(dir: string): Promise<Caches> {
  const codeCacheFile = join(dir, 'host.cache');
  const host = fork(join(__dirname, 'warm-host.cjs'), [join(dir, 'agent'), '--json', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'ignore', 'ipc'],
    // Nobody who looks for a fleet shall find this one.
    env: { ...process.env, OPENAGENT_RUN_DIR: join(dir, 'run') },
  });
  host.send({ type: 'launched' });
  const ended = new Promise<void>((resolve) => host.once('exit', () => resolve()));
  try {
    await withDeadline(settledOf(host), READY_MS, 'the host was not ready in time');
    const written = new Promise<void>((resolve) => {
      host.on('message', (message) => {
        // It takes us for its launcher, and says that it lives.
        if ((message as { codeCacheFile?: string }).codeCacheFile === codeCacheFile) resolve();
      });
    });
    host.send({ codeCacheFile });
    await withDeadline(written, READY_MS, 'the host gave no code cache in time');
    return { host: await readFile(codeCacheFile) };
  } finally {
    host.kill('SIGKILL'); // nothing in its directory is worth an orderly end
    await ended;
  }
}

function settledOf(host: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let printed = '';
    host.stdout?.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      if (printed.includes('"type":"settled"')) resolve();
    });
    host.once('error', reject);
    host.once('exit', (exitCode) => reject(new Error(`the host ended with exit code ${exitCode}`)));
  });
}

function readyOf(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.on('message', (report: WorkerReport) => {
      if (report.type === 'worker.ready') resolve();
      if (report.type === 'worker.failed') reject(new Error(report.error.message));
    });
    worker.once('error', reject);
    worker.once('exit', (exitCode) => reject(new Error(`the agent ended with exit code ${exitCode}`)));
  });
}

function withDeadline<T>(work: Promise<T>, afterMs: number, message: string): Promise<T> {
  const { promise, reject } = deferred<T>();
  const timer = setTimeout(() => reject(new Error(message)), afterMs);
  return Promise.race([work, promise]).finally(() => clearTimeout(timer));
}

function deferred<T>(): { promise: Promise<T>; reject: (error: Error) => void } {
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((_, refuse) => {
    reject = refuse;
  });
  return { promise, reject };
}

/** What can be had without running anything: the functions V8 compiles with the file itself. */
function coldCache({ file, hash }: BundleFile): Buffer {
  return compileBundle(file, hash).script.createCachedData();
}

async function writeAtomically(file: string, data: Uint8Array): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  await writeFile(temporary, data);
  await rename(temporary, file);
}

/** Caches of earlier bundles; those of other Nodes for this bundle stay. */
async function removeOutdated({ file, hash }: BundleFile): Promise<void> {
  const name = basename(file);
  for (const other of await readdir(__dirname)) {
    const isCache = other.startsWith(`${name}.`) && other.endsWith('.cache');
    if (isCache && !other.startsWith(`${name}.${hash}.`)) await rm(join(__dirname, other), { force: true });
  }
}

async function makeCaches(names: readonly string[], warm: () => Promise<Caches>): Promise<void> {
  for (const name of names) await removeOutdated(bundleFile(name));
  const cacheOf = (name: string) => cacheFileOf(bundleFile(name).file, bundleFile(name).hash);
  if (names.every((name) => existsSync(cacheOf(name)))) return;
  const caches = await warm().catch((error: Error): Caches => {
    process.stderr.write(`The code cache holds less than it could: ${error.message}\n`);
    return Object.fromEntries(names.map((name) => [name, coldCache(bundleFile(name))]));
  });
  for (const name of names) await writeAtomically(cacheOf(name), caches[name] as Uint8Array);
}

async function main(): Promise<void> {
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  const dir = await mkdtemp(join(tmpdir(), 'openagent-code-cache-'));
  try {
    await makeCaches(AGENT_BUNDLES, () => warmAgentCaches(dir));
    await makeCaches(['host'], () => warmHostCache(dir));
  } finally {
    const end = withDeadline(agentEnded, END_MS, 'the agent did not end in time');
    const isEnded = await end.then(
      () => true,
      () => false,
    );
    await rm(dir, { recursive: true, force: true });
    // A process with an agent's thread in it cannot exit by itself; its code cache is all that was wanted.
    if (!isEnded) process.kill(process.pid, 'SIGKILL');
  }
}

main().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
