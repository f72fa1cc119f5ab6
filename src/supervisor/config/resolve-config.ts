/** From a valid configuration to what an agent is given: defaults filled in, `~` expanded, paths absolute. */
import { join, resolve } from 'node:path';
import type { Config, LimitName } from '../../contract/config.ts';
import { DEFAULT_LIMITS, type Limits, limitKey } from '../../contract/limits.ts';
import type { ModelSettings } from '../../contract/model-settings.ts';
import { unaliased } from '../../contract/vendors.ts';
import type {
  AgentSettings,
  GatewaySettings,
  Isolation,
  LogLevel,
  TransportChoice,
} from '../../contract/worker-protocol.ts';
import { type ChildSpec, DEFAULT_SPEC } from '../child-spec.ts';
import { resolveMcp } from './resolve-mcp.ts';
import { resolveModel } from './resolve-model.ts';
import { resolveSchedule } from './resolve-schedule.ts';
import { resolveTools } from './resolve-tools.ts';

export const DEFAULT_PORT = 8765;
const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PROMPT = 'You are a helpful assistant.';
const DEFAULT_LOGGING = { level: 'info', rotateBytes: 10 * 1024 * 1024, keepFiles: 5 } as const;
const TRANSCRIPTION_MS = 120_000;
const DEFAULT_SPEECH_MODEL = 'whisper-1';
const DEFAULT_TRASH_DAYS = 30;
const TOKEN_VARIABLE = 'OPENAGENT_WS_TOKEN';

/** What the command line sets for every agent; it wins over the file. */
export interface Overrides {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly token?: string | undefined;
  readonly transport?: TransportChoice | undefined;
  readonly isolation?: Isolation | undefined;
  readonly logLevel?: LogLevel | undefined;
}

export interface LoadOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly overrides: Overrides;
}

export function resolveSettings(
  agent: { readonly id: string; readonly dir: string },
  config: Config,
  data: unknown,
  options: LoadOptions,
): Omit<AgentSettings, 'secrets'> {
  const path = (configured: string | null | undefined, byDefault: string) =>
    resolve(agent.dir, expandHome(configured || byDefault, options.homeDir));
  const model = resolveModel(config, options.env);
  return {
    ...{ name: config.name || agent.id, model },
    systemPrompt: config.system_prompt ?? DEFAULT_PROMPT,
    gateway: resolveGateway(config, options),
    mcp: resolveMcp(config),
    bridges: resolveBridges(config, data),
    dbPath: path(config.memory?.db_path, 'openagent.db'),
    vaultPath: path(config.memory?.vault_path, 'memories'),
    trashDays: config.memory?.trash_days ?? DEFAULT_TRASH_DAYS,
    limits: resolveLimits(config.limits),
    logging: {
      level: options.overrides.logLevel ?? config.logging?.level ?? DEFAULT_LOGGING.level,
      rotateBytes: config.logging?.rotate_bytes ?? DEFAULT_LOGGING.rotateBytes,
      keepFiles: config.logging?.keep_files ?? DEFAULT_LOGGING.keepFiles,
    },
    uploads: {
      retentionDays: config.uploads?.retention_days ?? undefined,
      roots: (config.uploads?.roots ?? []).map((root) => path(root, '.')),
    },
    tools: resolveTools(agent.dir, config.tools, (written) => path(written, '.')),
    transcription: resolveTranscription(config.transcription, model.providers),
    schedule: resolveSchedule(config),
  };
}

export function resolveSpec(id: string, dir: string, section: Config['supervisor']): ChildSpec {
  return {
    id,
    dir,
    restart: section?.restart ?? DEFAULT_SPEC.restart,
    intensity: section?.intensity ?? DEFAULT_SPEC.intensity,
    periodMs: section?.period_ms ?? DEFAULT_SPEC.periodMs,
    ...resolveBackoff(section),
    stableMs: section?.stable_ms ?? DEFAULT_SPEC.stableMs,
    startTimeoutMs: section?.start_timeout_ms ?? DEFAULT_SPEC.startTimeoutMs,
    drainMs: section?.drain_ms ?? DEFAULT_SPEC.drainMs,
    closeMs: section?.close_ms ?? DEFAULT_SPEC.closeMs,
    hangMs: section?.hang_ms ?? DEFAULT_SPEC.hangMs,
    nativeStallMs: section?.native_stall_ms ?? DEFAULT_SPEC.nativeStallMs,
    memorySoftBytes: toBytes(section?.memory_soft_mb),
    memoryHardBytes: toBytes(section?.memory_hard_mb),
    configVersions: section?.config_versions ?? DEFAULT_SPEC.configVersions,
  };
}

function toBytes(mb: number | null | undefined): number | undefined {
  return mb === null || mb === undefined ? undefined : mb * 1024 * 1024;
}

/** A bound that is given moves the other one, where that is only the default. */
function resolveBackoff(section: Config['supervisor']): Pick<ChildSpec, 'backoffMsMin' | 'backoffMsMax'> {
  const max = section?.backoff_ms_max;
  const backoffMsMin = section?.backoff_ms_min ?? Math.min(DEFAULT_SPEC.backoffMsMin, max ?? Infinity);
  return { backoffMsMin, backoffMsMax: max ?? Math.max(DEFAULT_SPEC.backoffMsMax, backoffMsMin) };
}

function resolveGateway(config: Config, { env, overrides }: LoadOptions): GatewaySettings {
  const websocket = config.channels?.websocket;
  const host = overrides.host || websocket?.host?.trim() || DEFAULT_HOST;
  return {
    host: host.replace(/^\[(.*)\]$/, '$1'),
    token: overrides.token || websocket?.token || env[TOKEN_VARIABLE] || undefined,
    allowedHosts: websocket?.allowed_hosts ?? [],
    allowedOrigins: websocket?.allowed_origins ?? [],
    legacyRest: websocket?.legacy_rest ?? 'off',
  };
}

/** A program on this machine comes first: nothing then leaves it. */
function resolveTranscription(
  section: Config['transcription'],
  providers: ModelSettings['providers'],
): AgentSettings['transcription'] {
  const timeoutMs = section?.timeout_ms ?? TRANSCRIPTION_MS;
  const [program, ...args] = section?.command ?? [];
  if (program !== undefined) return { command: [program, ...args], timeoutMs };
  const { baseUrl, apiKey } = providers[unaliased(section?.provider ?? '')] ?? {};
  if (baseUrl === undefined) return undefined;
  return { baseUrl, apiKey, modelId: section?.model_id || DEFAULT_SPEECH_MODEL, timeoutMs };
}

/** Keys the schema does not know stay: the bridge may be the user's own, under a name of ours. */
function resolveBridges(config: Config, data: unknown): AgentSettings['bridges'] {
  const written = (data as { channels?: Record<string, object | null> | null }).channels ?? {};
  const read: Record<string, unknown> = config.channels ?? {};
  return Object.keys(written)
    .filter((name) => name !== 'websocket' && !(written[name] === null && BUILT_IN_BRIDGES.includes(name)))
    .map((name) => ({ name, config: { ...written[name], ...(read[name] as object | null) } }));
}

/** An empty section of one of these is one that was commented out; a user's own bridge may need no settings. */
const BUILT_IN_BRIDGES: readonly string[] = ['telegram', 'discord', 'whatsapp'];

function resolveLimits(section: Config['limits']): Limits {
  const names = Object.keys(DEFAULT_LIMITS) as LimitName[];
  const values = names.map((name) => [name, section?.[limitKey(name)] ?? DEFAULT_LIMITS[name]]);
  return Object.fromEntries(values) as Limits;
}

function expandHome(path: string, homeDir: string): string {
  if (path === '~') return homeDir;
  return path.startsWith('~/') ? join(homeDir, path.slice(2)) : path;
}
