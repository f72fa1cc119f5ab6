/**
 * From `mcp:`, `mcp_defaults` and `mcp_disable` to what an agent is given. An entry that cannot be a server is left out
 * with a warning: one server less is no reason for an agent not to start.
 */
import type { Config } from '../../contract/config.ts';
import type { WireError } from '../../contract/errors.ts';
import {
  BUILT_IN_MCPS,
  DEFAULT_MCPS,
  type McpServerSettings,
  type McpSettings,
  type McpTarget,
} from '../../contract/mcp-settings.ts';
import { closestWord } from './closest.ts';
import { configWarning, keyOf } from './config-problem.ts';
import type { ParsedConfig } from './parse-config.ts';

type Entry = NonNullable<Config['mcp']>[number];
/** `key` within the entry, where only that is odd. */
type Doubt = (key: string | undefined, expected: string, text: string) => void;

const NAME_CHARS_MAX = 128;

export function resolveMcp(config: Config): McpSettings {
  return read(config, () => () => {});
}

/** What is odd about the entries, with their places. */
export function mcpWarnings(file: string, config: Config, parsed: ParsedConfig): readonly WireError[] {
  const warnings: WireError[] = [];
  read(config, (path) => (key, expected, text) => {
    const full = key === undefined ? path : [...path, key];
    warnings.push(
      configWarning(file, { ...parsed.placeOf(full), key: keyOf(full), expected, text: `${text}` }),
    );
  });
  return warnings;
}

function read(config: Config, doubts: (path: readonly PropertyKey[]) => Doubt): McpSettings {
  const disabled = config.mcp_disable ?? [];
  disabled.forEach((name, index) => {
    if (DEFAULT_MCPS.includes(name as (typeof DEFAULT_MCPS)[number])) return;
    const expected = `one of ${DEFAULT_MCPS.join(', ')}`;
    doubts(['mcp_disable', index])(
      undefined,
      expected,
      `there is no default "${name}"; set enabled: false in the entry of a server of your own`,
    );
  });
  const builtins = new Set<string>(
    config.mcp_defaults === false ? [] : BUILT_IN_MCPS.filter((name) => !disabled.includes(name)),
  );
  const servers = new Map<string, McpServerSettings>();
  for (const [index, entry] of (config.mcp ?? []).entries()) {
    const doubt = doubts(['mcp', index]);
    if (entry.builtin) {
      readBuiltin(entry, builtins, doubt);
      continue;
    }
    const server = readServer(entry, doubt);
    if (server !== undefined && servers.has(server.name)) {
      doubt('name', 'another name', `"${server.name}" stands here twice; the first one counts`);
    } else if (server !== undefined) {
      servers.set(server.name, server);
      // A server of the name of a default takes its place.
      builtins.delete(server.name);
    }
  }
  return { servers: [...servers.values()], builtins: [...builtins] };
}

function readBuiltin({ builtin, enabled, env }: Entry, builtins: Set<string>, doubt: Doubt): void {
  const name = builtin ?? '';
  if (BUILT_IN_MCPS.includes(name)) {
    if (enabled === false) builtins.delete(name);
    else builtins.add(name);
    if (env && Object.keys(env).length > 0) {
      doubt('env', 'no environment', `"${name}" is built in and runs no program: env has no effect`);
    }
    return;
  }
  const near = closestWord(name, [...BUILT_IN_MCPS]);
  const mend =
    near === undefined ? 'add a server with a command or a url instead' : `did you mean "${near}"?`;
  doubt(
    'builtin',
    `one of ${BUILT_IN_MCPS.join(', ')}`,
    `"${name}" is not built in here, and is ignored; ${mend}`,
  );
}

function readServer(entry: Entry, doubt: Doubt): McpServerSettings | undefined {
  const name = entry.name?.trim() ?? '';
  if (name === '' || name.length > NAME_CHARS_MAX) {
    doubt('name', `a name of at most ${NAME_CHARS_MAX} characters`, 'a server needs a name; ignored');
    return undefined;
  }
  const target = readTarget(entry, doubt);
  if (target === undefined) return undefined;
  if (entry.oauth !== undefined && entry.oauth !== null && entry.oauth !== false) {
    doubt('oauth', 'headers', 'is not used: give an access token in headers');
  }
  return {
    name,
    enabled: entry.enabled ?? true,
    target,
    trustAnnotations: entry.trust_annotations ?? undefined,
    pinTools: entry.pin_tools ?? false,
  };
}

function readTarget(entry: Entry, doubt: Doubt): McpTarget | undefined {
  const written = typeof entry.command === 'string' ? splitWords(entry.command) : (entry.command ?? []);
  const [program, ...args] = [...written, ...(entry.args ?? [])];
  if (program && written.length > 0) {
    if (entry.url) doubt('url', 'command or url', 'has no effect beside command');
    if (entry.transport && entry.transport !== 'stdio') {
      doubt('transport', 'stdio', `a command speaks stdio; ${entry.transport} has no effect`);
    }
    return { transport: 'stdio', command: [program, ...args], env: named(entry.env) };
  }
  const url = toHttpUrl(entry.url?.trim() ?? '');
  if (url === undefined) {
    const text = entry.url
      ? 'is no http or https URL; the server is ignored'
      : 'a server needs a command or a url; ignored';
    doubt(entry.url ? 'url' : undefined, 'a command, or an http or https URL', text);
    return undefined;
  }
  if (entry.transport === 'stdio') doubt('transport', 'http or sse', 'a url does not speak stdio');
  const transport = entry.transport === 'http' || entry.transport === 'sse' ? entry.transport : 'auto';
  return { transport, url, headers: named(entry.headers) };
}

function toHttpUrl(text: string): string | undefined {
  try {
    const url = new URL(text);
    return url.protocol === 'http:' || url.protocol === 'https:' ? text : undefined;
  } catch {
    return undefined; // No URL at all: the caller says so.
  }
}

function named(values: Entry['env']): Readonly<Record<string, string>> {
  const entries = Object.entries(values ?? {}).flatMap(([key, value]) =>
    value === null || value === undefined ? [] : [[key, value] as const],
  );
  return Object.fromEntries(entries);
}

/** As the reference's command-line client writes a command: words, quoted where they hold spaces. No shell is involved. */
export function splitWords(command: string): readonly string[] {
  const words: string[] = [];
  for (const [word] of command.matchAll(/(?:[^\s"']+|"[^"]*"?|'[^']*'?)+/g)) {
    words.push(
      word.replace(/"([^"]*)"?|'([^']*)'?/g, (_, double?: string, single?: string) => double ?? single ?? ''),
    );
  }
  return words;
}
