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
import {
  WORKER_PROTOCOL,
  type WorkerCommand,
  type WorkerInit,
  type WorkerReport,
} from '../contract/worker-protocol.ts';
import { cacheFileOf, compileBundle } from './load-bundle.cjs';

const READY_MS = 10_000;
const END_MS = 3_000;

const AGENT_HASH = process.env.AGENT_BUNDLE_HASH as string;
const HOST_HASH = process.env.HOST_BUNDLE_HASH as string;

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
      model: { provider: 'echo', modelId: undefined, delayMs: 0 },
      gateway: {
        host: '127.0.0.1',
        token: undefined,
        allowedHosts: [],
        allowedOrigins: [],
        legacyRest: 'off',
      },
      bridges: [],
      dbPath: join(dir, 'openagent.db'),
      vaultPath: join(dir, 'memories'),
      limits: DEFAULT_LIMITS,
      logging: { level: 'info', rotateBytes: 1024 * 1024, keepFiles: 1 },
      secrets: [],
    },
  };
}

/** The code cache of an agent that has just become ready. */
async function warmAgentCache(dir: string): Promise<Buffer> {
  await mkdir(join(dir, 'logs'));
  await mkdir(join(dir, 'memories'));
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(join(__dirname, 'warm-agent.cjs'), {
    workerData: { ...initFor(dir), codeCachePort: port2 },
    transferList: [port2],
  });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  await withDeadline(readyOf(worker), READY_MS, 'the agent was not ready in time');
  const cache = new Promise<Uint8Array>((resolve) => port1.once('message', resolve));
  port1.postMessage('now');
  const data = Buffer.from(await withDeadline(cache, READY_MS, 'the agent gave no code cache in time'));
  const stop: WorkerCommand = { type: 'shutdown', reason: 'stop', drainMs: 0, closeMs: 1_000 };
  worker.postMessage(stop);
  port1.close();
  // A process with an agent in it cannot exit by itself, and its code cache is all we wanted of it.
  withDeadline(ended, END_MS, '').catch(() => process.kill(process.pid, 'SIGKILL'));
  return data;
}

/** The code cache of a host whose only agent has just become ready. */
async function warmHostCache(dir: string): Promise<Buffer> {
  const codeCacheFile = join(dir, 'host.cache');
  const host = fork(join(__dirname, 'warm-host.cjs'), [join(dir, 'agent'), '--json', '--port', '0'], {
    stdio: ['ignore', 'pipe', 'ignore', 'ipc'],
  });
  const ended = new Promise<void>((resolve) => host.once('exit', () => resolve()));
  try {
    await withDeadline(settledOf(host), READY_MS, 'the host was not ready in time');
    const written = new Promise((resolve) => host.once('message', resolve));
    host.send({ codeCacheFile });
    await withDeadline(written, READY_MS, 'the host gave no code cache in time');
    return await readFile(codeCacheFile);
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
function coldCache(bundleFile: string, bundleHash: string): Buffer {
  return compileBundle(bundleFile, bundleHash).script.createCachedData();
}

async function writeAtomically(file: string, data: Uint8Array): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  await writeFile(temporary, data);
  await rename(temporary, file);
}

/** Caches of earlier bundles; those of other Nodes for this bundle stay. */
async function removeOutdated(bundleFile: string, bundleHash: string): Promise<void> {
  const [name, prefix] = [basename(bundleFile), `${basename(bundleFile)}.${bundleHash}.`];
  for (const file of await readdir(__dirname)) {
    if (file.startsWith(`${name}.`) && file.endsWith('.cache') && !file.startsWith(prefix)) {
      await rm(join(__dirname, file), { force: true });
    }
  }
}

async function makeCache(name: string, hash: string, warm: () => Promise<Buffer>): Promise<void> {
  const bundleFile = join(__dirname, `${name}.cjs`);
  const cacheFile = cacheFileOf(bundleFile, hash);
  await removeOutdated(bundleFile, hash);
  if (existsSync(cacheFile)) return;
  const cache = await warm().catch((error: Error) => {
    process.stderr.write(`The ${name}'s code cache holds less than it could: ${error.message}\n`);
    return coldCache(bundleFile, hash);
  });
  await writeAtomically(cacheFile, cache);
}

async function main(): Promise<void> {
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  const dir = await mkdtemp(join(tmpdir(), 'openagent-code-cache-'));
  try {
    await makeCache('agent', AGENT_HASH, () => warmAgentCache(dir));
    await makeCache('host', HOST_HASH, () => warmHostCache(dir));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

main().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
