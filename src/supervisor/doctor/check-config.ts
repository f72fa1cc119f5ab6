/** What stands in `openagent.yaml`, and whether what it names is there. */
import { constants } from 'node:fs';
import { access, readdir, readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { delimiter, extname, isAbsolute, join, resolve } from 'node:path';
import type { ParsedConfig } from '../config/parse-config.ts';
import type { PreparedAgent } from '../fleet.ts';
import type { SurveyedProblem } from './config-survey.ts';
import type { ExaminedAgent } from './examined-agent.ts';
import { type Finding, finding } from './finding.ts';

export async function checkConfig(agent: ExaminedAgent): Promise<readonly Finding[]> {
  const { config } = agent;
  if (config === undefined) return [];
  const { problems, doubts, usable } = config.survey;
  return [
    ...problems.map((problem) => ofProblem(agent, problem)),
    ...doubts.map((doubt) => ofDoubt(agent, doubt)),
    ...(usable === undefined ? [] : await checkNamed(agent, usable.prepared, usable.parsed)),
  ];
}

function ofProblem({ id, file }: ExaminedAgent, { code, key, text, line, column }: SurveyedProblem): Finding {
  const about = { agent: id, text: key === '' ? text : `${key}: ${text}`, file, line, column };
  if (code === 'config.variable_missing') {
    const name = /variable (\w+)/.exec(text)?.[1] ?? '';
    return finding(code, { ...about, values: { name } });
  }
  return finding(code === 'bind.public_without_token' ? code : 'config.invalid', about);
}

function ofDoubt({ id, file }: ExaminedAgent, { text, line, column }: SurveyedProblem): Finding {
  return finding('config.doubtful', { agent: id, text, file, line, column });
}

async function checkNamed(
  agent: ExaminedAgent,
  prepared: PreparedAgent,
  parsed: ParsedConfig,
): Promise<readonly Finding[]> {
  return [
    ...checkHost(agent, prepared, parsed),
    ...(await checkPrograms(agent, prepared, parsed)),
    ...(await checkBridges(agent, prepared, parsed)),
  ];
}

function checkHost(agent: ExaminedAgent, { settings }: PreparedAgent, parsed: ParsedConfig): Finding[] {
  const { host } = settings.gateway;
  const isOfAll = host === '0.0.0.0' || host === '::';
  if (isIP(host) === 0 || isOfAll || host.startsWith('127.') || host === '::1') return [];
  const addresses = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map(({ address }) => address),
  );
  if (addresses.includes(host)) return [];
  const text = `channels.websocket.host: ${host} is no address of this machine; it has ${addresses.join(', ')}`;
  const place = parsed.placeOf(['channels', 'websocket', 'host']);
  return [finding('bind.host_unknown', { agent: agent.id, text, file: agent.file, ...place })];
}

interface NamedProgram {
  readonly path: readonly PropertyKey[];
  readonly command: readonly string[];
  readonly searchPath: string | undefined;
}

async function checkPrograms(
  agent: ExaminedAgent,
  { settings }: PreparedAgent,
  parsed: ParsedConfig,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const { path, command, searchPath } of namedPrograms(agent, settings, parsed)) {
    const missing = await missingOf(agent.real, command, searchPath);
    if (missing === undefined) continue;
    const text = `${path.join('.')}: ${missing} is not there, or may not be run`;
    findings.push(
      finding('program.missing', {
        ...{ agent: agent.id, text, file: agent.file, ...parsed.placeOf(path) },
        values: { name: missing },
      }),
    );
  }
  return findings;
}

function namedPrograms(
  { env }: ExaminedAgent,
  { mcp, transcription, tools }: PreparedAgent['settings'],
  parsed: ParsedConfig,
): readonly NamedProgram[] {
  const written = (parsed.data as { mcp?: readonly ({ name?: unknown } | null)[] }).mcp ?? [];
  const servers = mcp.servers.flatMap(({ name, enabled, target }): NamedProgram[] => {
    if (!enabled || target.transport !== 'stdio') return [];
    const index = written.findIndex((entry) => String(entry?.name).trim() === name);
    const path = ['mcp', Math.max(0, index), 'command'];
    return [{ path, command: target.command, searchPath: target.env.PATH ?? env.PATH }];
  });
  const speech =
    transcription !== undefined && 'command' in transcription
      ? [{ path: ['transcription', 'command'], command: transcription.command, searchPath: env.PATH }]
      : [];
  const allowed = tools.shell?.enabled ? (tools.shell.commands ?? []) : [];
  const shell = allowed.map((command, index) => ({
    ...{ path: ['tools', 'shell', 'commands', index], command: [command], searchPath: env.PATH },
  }));
  return [...servers, ...speech, ...shell];
}

const SCRIPT = /\.(?:[cm]?[jt]s|py|rb|sh)$/;

/** The program, or the script that an interpreter is to run. */
async function missingOf(
  dir: string,
  [program = '', ...args]: readonly string[],
  searchPath: string | undefined,
): Promise<string | undefined> {
  const places = /[\\/]/.test(program)
    ? [resolve(dir, program)]
    : (searchPath ?? '').split(delimiter).map((folder) => join(folder || '.', program));
  const isThere = await Promise.all(places.map(isProgram));
  if (!isThere.includes(true)) return program;
  const script = args.find((arg) => !arg.startsWith('-'));
  if (script === undefined || !SCRIPT.test(script) || !/^(?:node|python3?|ruby|bash|sh)$/.test(program)) {
    return undefined;
  }
  const path = isAbsolute(script) ? script : resolve(dir, script);
  return (await stat(path).catch(() => undefined)) === undefined ? script : undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false; // not there, or not to be run: the same to whoever wants to run it
  }
}

const MODULES = ['.ts', '.mjs', '.js'];
const MODULE_BYTES_MAX = 1024 * 1024;

/** A module of another name may be the bridge: its `name` says so, and it would have to be run to be asked. */
async function checkBridges(
  agent: ExaminedAgent,
  { settings }: PreparedAgent,
  parsed: ParsedConfig,
): Promise<readonly Finding[]> {
  const dir = join(agent.real, 'bridges');
  const names = (await readdir(dir).catch(() => [])).filter((name) => MODULES.includes(extname(name)));
  const findings: Finding[] = [];
  for (const { name } of settings.bridges) {
    if (names.some((file) => file.slice(0, -extname(file).length) === name)) continue;
    const others = await Promise.all(names.map((file) => mentions(join(dir, file), name)));
    if (others.includes(true)) continue;
    const text = `channels.${name}: there is no ${MODULES.map((end) => name + end).join(', ')} in bridges/`;
    findings.push(
      finding('bridge.missing', {
        ...{ agent: agent.id, text, file: agent.file, ...parsed.placeOfKey(['channels', name]) },
        values: { path: join(agent.dir, 'bridges', `${name}.ts`) },
      }),
    );
  }
  return findings;
}

async function mentions(file: string, name: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  if (!found?.isFile() || found.size > MODULE_BYTES_MAX) return true; // it cannot be told
  return (await readFile(file, 'utf8').catch(() => name)).includes(name);
}
