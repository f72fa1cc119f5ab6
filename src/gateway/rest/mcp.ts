/** Handlers of the MCP servers' routes: the configuration says which there are, the agent how they are doing. */
import type { ConfigChange } from '../../contract/config-answers.ts';
import { AppError } from '../../contract/errors.ts';
import { BUILT_IN_MCPS } from '../../contract/mcp-settings.ts';
import { type Caller, type Handlers, reply } from '../../contract/route.ts';
import type { MCP_ROUTES } from '../../contract/routes/mcp.ts';
import type { MCP_SCHEMAS, McpRow } from '../../contract/schemas/mcp.ts';
import type { McpStatus } from '../services/mcp-service.ts';
import type { AgentServices } from '../services.ts';
import {
  added,
  findBuiltin,
  isBuiltinEnabled,
  isEnabled,
  isRecord,
  type McpSections,
  nameOf,
  notFound,
  readSections,
  removed,
  type SectionChange,
  switched,
  updated,
} from './mcp-config.ts';

type Asked = Pick<AgentServices, 'config' | 'mcp' | 'resources'>;
type Edit = (sections: McpSections) => SectionChange;

/** Times a write is begun again because somebody else wrote in the same moment. */
const ATTEMPTS = 3;

export const mcpHandlers: Handlers<typeof MCP_ROUTES, typeof MCP_SCHEMAS, AgentServices> = {
  async listMcps(_input, services) {
    return { mcps: await readRows(services) };
  },

  async getMcp({ params: { name } }, services) {
    return { mcp: await readRow(services, name) };
  },

  async addMcp({ body: { name, ...settings } }, services, caller) {
    const change = await write(services, caller, (sections) => added(sections, name, settings));
    services.resources.changed('mcp', 'created', name);
    return reply({ ...change, mcp: await readRow(services, name) }, { status: 201 });
  },

  async updateMcp({ params: { name }, body }, services, caller) {
    const change = await write(services, caller, (sections) => updated(sections, name, body));
    services.resources.changed('mcp', 'updated', name);
    return { ...change, mcp: await readRow(services, name) };
  },

  async removeMcp({ params: { name } }, services, caller) {
    const change = await write(services, caller, (sections) => removed(sections, name));
    services.resources.changed('mcp', 'deleted', name);
    return change;
  },

  enableMcp: ({ params: { name } }, services, caller) => switchTo(services, caller, name, true),

  disableMcp: ({ params: { name } }, services, caller) => switchTo(services, caller, name, false),

  retryMcp({ params: { name } }, { mcp }) {
    mcp.retry(name);
    return { ok: true };
  },

  async approveMcp({ params: { name } }, { mcp }) {
    await mcp.approve(name);
    return { ok: true };
  },

  listMcpTools(_input, { mcp }) {
    const mcps = mcp.offered().map(({ server, tools }) => ({
      mcp_name: server,
      tools: tools.map(({ name, description, inputSchema }) => ({
        ...{ name, description },
        parameters_schema: { ...inputSchema },
      })),
    }));
    return { mcps };
  },
};

async function switchTo(services: Asked, caller: Caller, name: string, enabled: boolean) {
  const change = await write(services, caller, (sections) => switched(sections, name, enabled));
  services.resources.changed('mcp', 'updated', name);
  return { ...change, mcp: await readRow(services, name) };
}

async function write({ config }: Asked, caller: Caller, edit: Edit) {
  const by = `rest ${caller.remoteAddress()}`;
  for (let attempt = 1; ; attempt += 1) {
    const { value, etag } = await config.read();
    const change = edit(readSections(value));
    try {
      return toChanged(await config.patch(change.section, change.value, `"${etag}"`, by));
    } catch (error) {
      if (attempt >= ATTEMPTS || !AppError.is(error) || error.code !== 'config.conflict') throw error;
    }
  }
}

function toChanged({ restartRequired, applied, warnings }: ConfigChange) {
  return { ok: true as const, restart_required: restartRequired, applied, warnings: [...warnings] };
}

async function readRow(services: Asked, name: string): Promise<McpRow> {
  const row = (await readRows(services)).find((one) => one.name === name);
  if (row === undefined) throw notFound(name);
  return row;
}

async function readRows({ config, mcp }: Asked): Promise<McpRow[]> {
  const sections = readSections((await config.read()).value);
  const states = new Map(mcp.states().map((status) => [status.name, status]));
  const rows = new Map<string, McpRow>();
  for (const entry of sections.entries.filter(isRecord)) {
    const name = nameOf(entry);
    if (entry.builtin || name === '' || rows.has(name)) continue;
    rows.set(name, serverRow(name, entry, states.get(name)));
  }
  const builtins = BUILT_IN_MCPS.filter((name) => !rows.has(name)).map((name) => builtinRow(name, sections));
  return [...builtins, ...rows.values()];
}

const EMPTY = {
  command: null,
  args: [],
  url: null,
  env: {},
  headers: {},
  oauth: null,
  created_at: null,
  updated_at: null,
  transport: null,
  tools: 0,
  changed_tools: [],
  problems: [],
  restarts: 0,
  last_error: null,
};

function builtinRow(name: string, sections: McpSections): McpRow {
  const isAsked = findBuiltin(sections, name) !== undefined;
  const enabled = isBuiltinEnabled(sections, name);
  return {
    ...EMPTY,
    ...{ name, builtin_name: name, enabled },
    kind: isAsked ? 'builtin' : 'default',
    source: isAsked ? 'config' : 'default',
    state: enabled ? 'built_in' : 'disabled',
  };
}

function serverRow(
  name: string,
  entry: Readonly<Record<string, unknown>>,
  status: McpStatus | undefined,
): McpRow {
  const enabled = isEnabled(entry);
  return {
    ...EMPTY,
    ...{ name, enabled },
    kind: 'custom',
    source: 'config',
    builtin_name: null,
    command: entry.command == null ? null : texts(entry.command),
    args: texts(entry.args ?? []),
    url: typeof entry.url === 'string' ? entry.url : null,
    env: isRecord(entry.env) ? { ...entry.env } : {},
    headers: isRecord(entry.headers) ? { ...entry.headers } : {},
    oauth: entry.oauth ?? null,
    ...(status === undefined ? { state: enabled ? 'pending' : 'disabled' } : running(enabled, status)),
  };
}

/** The agent may still run with what was configured before. */
function running(enabled: boolean, status: McpStatus): Partial<McpRow> & Pick<McpRow, 'state'> {
  const isOld = enabled === (status.state === 'disabled');
  return {
    state: isOld ? 'pending' : status.state,
    transport: status.transport,
    tools: status.tools.length,
    changed_tools: [...status.changedTools],
    problems: [...status.problems],
    restarts: status.restarts,
    last_error: status.lastError ?? null,
  };
}

function texts(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).map(String);
}
