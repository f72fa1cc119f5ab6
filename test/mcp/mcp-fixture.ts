/** MCP servers as an agent runs them, with its way to start programs; all of them are known and gone after the test. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createChildProcesses } from '../../src/actors/child-processes.ts';
import { systemClock } from '../../src/contract/clock.ts';
import { DEFAULT_LIMITS, type Limits } from '../../src/contract/limits.ts';
import type { McpServerSettings, McpTarget } from '../../src/contract/mcp-settings.ts';
import type { Log, LogFields } from '../../src/logging/log.ts';
import { createMcpTools, type McpTools, type McpToolsOptions } from '../../src/mcp/mcp-tools.ts';
import type { McpServerState } from '../../src/mcp/supervised-server.ts';
import type { Tool, ToolResult } from '../../src/tools/tool.ts';
import { eventually } from '../fixtures/chat.ts';

const STOP_MS = 400;
const RUDE = fileURLToPath(new URL('../fixtures/mcp/rude-server.mjs', import.meta.url));
export const MODERN = fileURLToPath(new URL('../fixtures/mcp/modern-server.mjs', import.meta.url));
const SERVERS = fileURLToPath(new URL('../../node_modules/@modelcontextprotocol/', import.meta.url));

export const EVERYTHING = join(SERVERS, 'server-everything/dist/index.js');
export const FILESYSTEM = join(SERVERS, 'server-filesystem/dist/index.js');

export interface McpFixture {
  readonly mcp: McpTools;
  readonly dir: string;
  readonly log: readonly { readonly event: string; readonly fields: LogFields }[];
  /** Of every program that was started. */
  readonly pids: readonly number[];
  state(server: string): McpServerState | undefined;
  reaches(server: string, state: McpServerState): Promise<void>;
  tool(name: string): Tool;
  call(name: string, input?: unknown, options?: CallOptions): Promise<ToolResult>;
  stop(): Promise<void>;
}

interface CallOptions {
  readonly signal?: AbortSignal;
  readonly report?: (progress: string) => void;
}

type FixtureOptions = Partial<Omit<McpToolsOptions, 'limits' | 'settings'>> & {
  readonly limits?: Partial<Limits>;
};

export function startMcp(
  t: TestContext,
  servers: readonly McpServerSettings[],
  { limits, ...options }: FixtureOptions = {},
): McpFixture {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'mcp-'));
  const pids: number[] = [];
  const lines: { event: string; fields: LogFields }[] = [];
  const log = toLog((event, fields) => lines.push({ event, fields }));
  const clock = systemClock;
  const report = () => {};
  const children = createChildProcesses({ agentId: 'agent', dir, boot: 1, max: 32, clock, log, report });
  const mcp = createMcpTools({
    ...{ dir, clock, log },
    settings: { servers, builtins: [] },
    version: '0.0.0',
    limits: { ...DEFAULT_LIMITS, ...limits },
    random: () => 0,
    secrets: ['an-argument-secret'],
    start: (command, args, spawnOptions) => {
      const child = children.spawn(command, args, spawnOptions);
      if (child.pid !== undefined) pids.push(child.pid);
      return child;
    },
    ...options,
  });
  let isStopped = false;
  const stop = async () => {
    isStopped = true;
    await mcp.stop(STOP_MS);
    await children.stop(STOP_MS);
    assert.equal(children.count(), 0);
    assert.deepEqual(await running(pids), [], 'no program is left');
  };
  t.after(async () => {
    if (!isStopped) await stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const tool = (name: string): Tool => {
    const tools = mcp.sources().flatMap((source) => source.tools());
    const found = tools.find((one) => one.name === name);
    assert.ok(found, `${name} is among ${tools.map((one) => one.name).join(', ')}`);
    return found;
  };
  const state = (server: string) => mcp.states().find(({ name }) => name === server)?.state;
  return {
    ...{ mcp, dir, log: lines, pids, tool, state, stop },
    reaches: async (server, wanted) => {
      const isThere = () => {
        const status = mcp.states().find(({ name }) => name === server);
        if (status?.state !== wanted) return undefined;
        // Its tools are there a moment after it is.
        return wanted !== 'ready' || status.tools.length > 0 || status.problems.length > 0 || undefined;
      };
      await eventually(isThere, `${server} becomes ${wanted}`);
    },
    call: (name, input = {}, { signal = new AbortController().signal, report: told = () => {} } = {}) =>
      tool(name).run(input, { signal, turnId: '1-1', sessionId: 's', report: told }),
  };
}

/** Those whose group still has somebody in it who runs; ended ones wait for whoever adopted them. */
async function running(pids: readonly number[]): Promise<readonly number[]> {
  const alive = () => pids.filter((pid) => isAlive(-pid) && livesOn(pid));
  await eventually(() => alive().length === 0 || undefined, 'the end of all programs').catch(() => {});
  return alive();
}

function livesOn(group: number): boolean {
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const [state, , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(pgrp) === group && state !== 'Z';
    } catch {
      return false; // It has just gone.
    }
  });
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH
  }
}

export function server(
  name: string,
  target: McpTarget,
  more: Partial<McpServerSettings> = {},
): McpServerSettings {
  return { name, enabled: true, target, trustAnnotations: undefined, pinTools: false, ...more };
}

export function program(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): McpTarget {
  return { transport: 'stdio', command: [process.execPath, file, ...args], env };
}

export function rude(mode: string, env: Readonly<Record<string, string>> = {}): McpTarget {
  return program(RUDE, [mode], env);
}

export interface HttpServer {
  readonly port: number;
  kill(): Promise<void>;
}

/** The everything server over HTTP, listening. */
export async function startHttpServer(
  t: TestContext,
  kind: 'streamableHttp' | 'sse',
  wantedPort?: number,
): Promise<HttpServer> {
  const port = wantedPort ?? (await freePort());
  const env = { PATH: process.env.PATH ?? '', PORT: String(port) };
  const child = spawn(process.execPath, [EVERYTHING, kind], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(() => void child.kill('SIGKILL'));
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await eventually(() => /listening|running/.test(said) || undefined, `${kind} listens: ${said}`);
  return { port, kill: () => killed(child) };
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  await gone;
}

function freePort(): Promise<number> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function toLog(write: (event: string, fields: LogFields) => void): Log {
  const line = (event: string, fields: LogFields = {}) => write(event, fields);
  return { debug: line, info: line, warn: line, error: line, isEnabled: () => true };
}
