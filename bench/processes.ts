/** Starts and ends what is measured: floors, the product, and the clients of both, each in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const START_MS = 60_000;

export interface Running {
  /** Port of the floor, or of the product's first agent. */
  readonly port: number;
  /** From `exec` to the line that said all is ready. */
  readonly startMs: number;
  /** Resident memory of the process and its children, in bytes; undefined where /proc does not say. */
  residentBytes(): Promise<number | undefined>;
  /** From what `provoke` does to its first child, the host, until all is ready once more, in milliseconds. */
  readyAgainMs(provoke: (hostPid: number) => void): Promise<number>;
  /** What `read` makes of the first line to come that it knows. */
  until<T>(read: (line: string) => T | undefined): Promise<T>;
  /** Of the product. */
  hostPid(): Promise<number>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** A directory for databases and agents, on the disk the machine's temporary files are on. */
export async function withDirectory<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'openagent-bench-'));
  try {
    return await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** A floor says `ready <port>`. */
export function startFloor(file: string, ...args: readonly string[]): Promise<Running> {
  return start([join(ROOT, 'bench/floors', file), ...args], () => {
    let port: number | undefined;
    return (line) => {
      if (line.startsWith('ready ')) port = Number(line.slice('ready '.length));
      return port;
    };
  });
}

interface AgentLine {
  readonly type: string;
  readonly id: string;
  readonly state: string;
  readonly port: number;
  readonly reason?: { readonly message: string };
}

/** The product is ready when each of its agents has said so. */
export function startProduct(dirs: readonly string[], options: readonly string[] = []): Promise<Running> {
  return start([join(ROOT, 'bin/openagent-supervisor.mjs'), '--json', ...options, ...dirs], () => {
    const ports = new Map<string, number>();
    return (text) => {
      const line = JSON.parse(text) as AgentLine;
      if (line.type !== 'agent') return undefined;
      if (line.state === 'refused' || line.state === 'quarantined') throw new Error(line.reason?.message);
      if (line.state === 'running') ports.set(line.id, line.port);
      return ports.size === dirs.length ? [...ports.values()][0] : undefined;
    };
  });
}

/** `createReader` makes what reads standard output, line by line, until it knows the port. */
async function start(
  args: readonly string[],
  createReader: () => (line: string) => number | undefined,
): Promise<Running> {
  const startedAt = performance.now();
  // A group of its own: the product's host is a child of its launcher, and both end together.
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) sendToGroup(child, signal);
    await exited;
    sendToGroup(child, 'SIGKILL');
  };
  try {
    const port = await readUntil(child, lines, createReader());
    const startMs = performance.now() - startedAt;
    const hostPid = async (): Promise<number> => {
      const [pid] = await childrenOf(child);
      if (pid === undefined) throw new Error('there is no host process');
      return pid;
    };
    const readyAgainMs = async (provoke: (hostPid: number) => void): Promise<number> => {
      const pid = await hostPid();
      const ready = readUntil(child, lines, createReader());
      const provokedAt = performance.now();
      provoke(pid);
      await ready;
      return performance.now() - provokedAt;
    };
    const until = <T>(read: (line: string) => T | undefined): Promise<T> => readUntil(child, lines, read);
    return { port, startMs, residentBytes: () => residentBytesOf(child), readyAgainMs, until, hostPid, stop };
  } catch (error) {
    await stop('SIGKILL');
    throw error;
  }
}

function sendToGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-(child.pid as number), signal);
  } catch {
    // the group has ended already
  }
}

function readUntil<T>(
  child: ChildProcess,
  lines: Interface,
  read: (line: string) => T | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void): void => {
      clearTimeout(timer);
      lines.off('line', look);
      child.off('exit', fail);
      end();
    };
    const timer = setTimeout(
      () => settle(() => reject(new Error(`Not ready within ${START_MS} ms`))),
      START_MS,
    );
    const look = (line: string): void => {
      try {
        const found = read(line);
        if (found !== undefined) settle(() => resolve(found));
      } catch (error) {
        settle(() => reject(error as Error));
      }
    };
    const fail = (code: number | null, signal: NodeJS.Signals | null): void =>
      settle(() => reject(new Error(`Ended with ${signal ?? code} before it was ready`)));
    lines.on('line', look);
    child.once('exit', fail);
  });
}

async function residentBytesOf(child: ChildProcess): Promise<number | undefined> {
  try {
    const pids = [child.pid, ...(await childrenOf(child))];
    const sizes = await Promise.all(pids.map((pid) => residentKibOf(`/proc/${pid}/status`)));
    return sizes.reduce((total, size) => total + size, 0) * 1024;
  } catch {
    return undefined; // not Linux
  }
}

async function childrenOf({ pid }: ChildProcess): Promise<readonly number[]> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim();
  return children.split(' ').filter(Boolean).map(Number);
}

async function residentKibOf(statusFile: string): Promise<number> {
  return Number(/VmRSS:\s+(\d+)/.exec(await readFile(statusFile, 'utf8'))?.[1] ?? 0);
}

/** Directories of agents that answer without a key, configured like `init` does: all begin at the same port. */
export async function makeAgents(dir: string, count: number): Promise<readonly string[]> {
  const dirs = Array.from({ length: count }, (_, at) => join(dir, `agent-${at + 1}`));
  for (const agentDir of dirs) {
    await mkdir(join(agentDir, 'memories'), { recursive: true });
    await mkdir(join(agentDir, 'logs'));
    await writeFile(join(agentDir, 'openagent.yaml'), 'model:\n  provider: echo\n');
  }
  return dirs;
}

/** A client prints one line of JSON and ends. */
export async function runLoad<T>(file: string, ...args: readonly (string | number)[]): Promise<T> {
  return JSON.parse(
    await output(process.execPath, [join(ROOT, 'bench/load', file), ...args.map(String)]),
  ) as T;
}

export async function output(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command} ${args[0]} ended with ${code}`);
  return printed;
}
