/**
 * The MCP servers of a configuration as data: which there are, and what the sections become when one of them is added,
 * changed, taken away, enabled or disabled. Each of these changes exactly one section, so that it is one write.
 */
import { AppError } from '../../contract/errors.ts';
import { BUILT_IN_MCPS, DEFAULT_MCPS } from '../../contract/mcp-settings.ts';
import type { McpSettingsBody } from '../../contract/schemas/mcp.ts';

type Json = Readonly<Record<string, unknown>>;

export interface SectionChange {
  readonly section: 'mcp' | 'mcp_disable';
  readonly value: unknown;
}

/** Of `GET /api/config`. A file may hold anything at any place: what is odd counts as absent. */
export interface McpSections {
  readonly defaults: boolean;
  readonly disabled: readonly unknown[];
  readonly entries: readonly unknown[];
}

export function readSections(document: unknown): McpSections {
  const { mcp_defaults, mcp_disable, mcp } = isRecord(document) ? document : {};
  return {
    defaults: !['false', 'no', 'off', '0'].includes(String(mcp_defaults).toLowerCase()),
    disabled: Array.isArray(mcp_disable) ? mcp_disable : typeof mcp_disable === 'string' ? [mcp_disable] : [],
    entries: Array.isArray(mcp) ? mcp : [],
  };
}

/** The entry of a server of this name; the first one counts. */
export function findServer({ entries }: McpSections, name: string): Json | undefined {
  return entries.filter(isRecord).find((entry) => !entry.builtin && nameOf(entry) === name);
}

export function findBuiltin({ entries }: McpSections, name: string): Json | undefined {
  return entries.filter(isRecord).find((entry) => entry.builtin === name);
}

export function nameOf(entry: Json): string {
  return typeof entry.name === 'string' || typeof entry.name === 'number' ? String(entry.name).trim() : '';
}

export function isEnabled(entry: Json): boolean {
  return !['false', 'no', 'off', '0'].includes(String(entry.enabled).toLowerCase());
}

export function isBuiltinEnabled(sections: McpSections, name: string): boolean {
  const entry = findBuiltin(sections, name);
  if (entry !== undefined) return isEnabled(entry);
  return sections.defaults && !sections.disabled.includes(name);
}

export function added(sections: McpSections, name: string, body: McpSettingsBody): SectionChange {
  if (isReserved(name)) throw builtIn(name, 'choose another name');
  if (findServer(sections, name) !== undefined) {
    throw new AppError('mcp.exists', `There is an MCP server "${name}" already`);
  }
  return { section: 'mcp', value: [...sections.entries, { name, ...settingsOf(body) }] };
}

export function updated(sections: McpSections, name: string, body: McpSettingsBody): SectionChange {
  const entry = known(sections, name, 'only enable and disable change it');
  // A server is one or the other: what makes it the one takes away what made it the other.
  const replaced = body.command ? ['url'] : body.url ? ['command', 'args'] : [];
  const cleared = Object.keys(body).filter((key) => body[key as keyof McpSettingsBody] === null);
  const kept = Object.entries(entry).filter(([key]) => ![...replaced, ...cleared].includes(key));
  return replacing(sections, entry, { ...Object.fromEntries(kept), ...settingsOf(body) });
}

export function removed(sections: McpSections, name: string): SectionChange {
  const entry = known(sections, name, 'it can be disabled');
  return { section: 'mcp', value: sections.entries.filter((other) => other !== entry) };
}

export function switched(sections: McpSections, name: string, enabled: boolean): SectionChange {
  const server = findServer(sections, name);
  const entry = server ?? findBuiltin(sections, name);
  if (entry !== undefined) {
    const { enabled: _, ...rest } = entry;
    return replacing(sections, entry, enabled ? rest : { ...rest, enabled: false });
  }
  if (!BUILT_IN_MCPS.includes(name)) throw notFound(name);
  if (enabled && !sections.defaults)
    return { section: 'mcp', value: [...sections.entries, { builtin: name }] };
  const others = sections.disabled.filter((other) => other !== name);
  return { section: 'mcp_disable', value: enabled ? others : [...others, name] };
}

export function notFound(name: string): AppError {
  return new AppError('mcp.not_found', `There is no MCP server "${name.slice(0, 128)}"`);
}

function known(sections: McpSections, name: string, mend: string): Json {
  const entry = findServer(sections, name);
  if (entry !== undefined) return entry;
  throw isReserved(name) ? builtIn(name, mend) : notFound(name);
}

function replacing({ entries }: McpSections, entry: Json, value: Json): SectionChange {
  return { section: 'mcp', value: entries.map((other) => (other === entry ? value : other)) };
}

/** Without what is null: that is the same as absent. */
function settingsOf(body: McpSettingsBody): Json {
  return Object.fromEntries(Object.entries(body).filter(([key, value]) => key !== 'name' && value != null));
}

function isReserved(name: string): boolean {
  return DEFAULT_MCPS.some((reserved) => reserved === name);
}

function builtIn(name: string, mend: string): AppError {
  return new AppError('mcp.built_in', `"${name}" is the name of a built-in one; ${mend}`);
}

export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
