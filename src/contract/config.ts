/**
 * The one schema of `openagent.yaml`: every key the reference reads at 0.5.16 and the ones added here. It takes what a
 * YAML parser gives after `${VAR}` substitution, so a number or a boolean may also arrive as text. Each message is a
 * phrase that completes "expected …": without that, errors could not say in one line what a key wants.
 *
 * A mapping without catchall is closed (other keys are worth a warning); one with catchall passes everything through.
 */
import { z } from 'zod';
import { DEFAULT_LIMITS, limitKey } from './limits.ts';
import { STALL_MS_MAX } from './model-settings.ts';
import { MISSED_POLICIES, UPDATE_MODES } from './schedule-settings.ts';
import { TOOL_DECISIONS } from './tool-settings.ts';
import { LOCAL_VENDORS, unaliased, VENDORS, vendorOf, WIRES } from './vendors.ts';
import { ISOLATIONS, LOG_LEVELS, TRANSPORTS } from './worker-protocol.ts';

/** Vendors known by name that turn speech into text the way OpenAI does. */
export const SPEECH_PROVIDERS = ['openai', 'groq'] as const;

/** What `model.provider` takes besides the names of `providers:`. */
export const MODEL_PROVIDERS = [
  'echo',
  'claude-cli',
  'agno',
  'smart',
  ...VENDORS,
  ...LOCAL_VENDORS,
  'claude-api',
  'zhipu',
  'litellm',
] as const;

/** The longest delay a timer of Node takes; above it fires at once. It bounds counts and sizes well enough too. */
const WHOLE_MAX = 2 ** 31 - 1;

/** 1 TiB. */
const MEMORY_MB_MAX = 1_048_576;

/** Marks a key whose value is never shown. */
export const SECRET = 'secret';

const text = (expected = 'text') => z.preprocess(toText, z.string(expected));
const secret = () => text().meta({ [SECRET]: true });
const flag = () => z.preprocess(toFlag, z.boolean('true or false'));
const amount = () =>
  z.preprocess(toNumber, z.number('a number of 0 or more').min(0, 'a number of 0 or more'));
const oneOf = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, `one of ${values.join(', ')}`);
const textList = (expected: string, item = text(expected)) => z.preprocess(toList, z.array(item, expected));
const section = <S extends z.ZodRawShape>(shape: S) => z.object(shape, 'a mapping');

function whole(min: number, max = WHOLE_MAX, expected = `a whole number from ${min} to ${max}`) {
  return z.preprocess(toNumber, z.int(expected).min(min, expected).max(max, expected));
}

const model = section({
  /** One of MODEL_PROVIDERS or a name of `providers`: see `knownProvider`. */
  provider: text().nullish(),
  model_id: text().nullish(),
  api_key: secret().nullish(),
  base_url: text().nullish(),
  permission_mode: text().nullish(),
  monthly_budget: amount().nullish(),
  /** Ours. */
  daily_budget: amount().nullish(),
  routing: section({
    simple: text().nullish(),
    medium: text().nullish(),
    hard: text().nullish(),
    fallback: text().nullish(),
  }).nullish(),
  classifier_model: text().nullish(),
  /** Ours, like all that follow: tried in this order where the model fails before it said anything. */
  fallbacks: textList('a list of models such as openai:gpt-4.1').nullish(),
  retries: whole(0, 10).nullish(),
  timeout_ms: whole(1, STALL_MS_MAX).nullish(),
  progress_timeout_ms: whole(1).nullish(),
  /** Time the echo model waits before each token. */
  delay_ms: whole(0).nullish(),
});

const provider = section({
  api_key: secret().nullish(),
  base_url: text().nullish(),
  models: z.array(z.unknown(), 'a list of models').nullish(),
  disabled_models: textList('a list of model names').nullish(),
  permission_mode: text().nullish(),
  /** Ours: what its address speaks, where that is not what its name or `base_url` says. */
  wire: oneOf(WIRES).nullish(),
}).catchall(z.unknown());

const textByName = (expected: string) => z.record(z.string(), text().nullish(), expected);

const mcpServer = section({
  builtin: text().nullish(),
  name: text().nullish(),
  /** The reference wants a list; its command-line client writes a string. */
  command: z.union([text(), z.array(text())], 'a command, as text or as a list of its words').nullish(),
  args: textList('a list of arguments').nullish(),
  env: textByName('a mapping of environment variables').nullish(),
  url: text('a URL').nullish(),
  headers: textByName('a mapping of headers').nullish(),
  oauth: z.unknown().optional(),
  enabled: flag().nullish(),
  /** Ours, like the following: what a url speaks, where it cannot be found out. */
  transport: oneOf(['stdio', 'http', 'sse']).nullish(),
  trust_annotations: flag().nullish(),
  pin_tools: flag().nullish(),
});

const TOOL_HOST = 'a host name or address, with a port or without, such as *.example.org or 127.0.0.1:8080';
const toolHosts = () =>
  textList(
    'a list of hosts',
    z.preprocess(
      (value) => (typeof value === 'string' ? value.toLowerCase() : value),
      z.string(TOOL_HOST).regex(/^[^\s/@?#]{1,260}$/, TOOL_HOST),
    ),
  );

const tools = section({
  /** By name of a tool, or a pattern with `*`. */
  policy: z
    .record(z.string(), oneOf(TOOL_DECISIONS), `a mapping of tools to ${TOOL_DECISIONS.join(', ')}`)
    .nullish(),
  approval_ms: whole(1_000).nullish(),
  timeout_ms: whole(1).nullish(),
  output_chars: whole(200, 10_000_000).nullish(),
  files: section({
    roots: textList('a list of directories').nullish(),
    max_bytes: whole(1, 64 * 1024 * 1024).nullish(),
  }).nullish(),
  shell: section({
    enabled: flag().nullish(),
    commands: textList('a list of programs').nullish(),
    timeout_ms: whole(1).nullish(),
    output_chars: whole(200, 10_000_000).nullish(),
  }).nullish(),
  web: section({
    allow_hosts: toolHosts().nullish(),
    deny_hosts: toolHosts().nullish(),
    ports: z
      .preprocess(toList, z.array(whole(1, 65_535, 'a number from 1 to 65535'), 'a list of ports'))
      .nullish(),
    max_bytes: whole(1, 64 * 1024 * 1024).nullish(),
    timeout_ms: whole(1).nullish(),
  }).nullish(),
});

const HOST_NAME = 'a host name or address without port, such as agents.example.org';
const ORIGIN = 'an origin such as https://app.example.org (scheme, host, optional port, no path)';

const websocket = section({
  host: text('a host name or address').nullish(),
  port: whole(0, 65_535, 'a number from 0 to 65535').nullish(),
  token: secret().nullish(),
  model: z.unknown().optional(),
  allowed_hosts: textList(
    'a list of host names',
    z.preprocess(
      toHostName,
      z.string(HOST_NAME).regex(/^([a-z0-9._-]+|[0-9a-f.]*:[0-9a-f.]*:[0-9a-f:.]*)$/, HOST_NAME),
    ),
  ).nullish(),
  allowed_origins: textList(
    'a list of origins',
    z.preprocess(toOrigin, z.string(ORIGIN).regex(/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@*]+$/, ORIGIN)),
  ).nullish(),
  legacy_rest: z
    .preprocess((value) => (value === false ? 'off' : value), z.enum(['off', 'loopback'], 'off or loopback'))
    .nullish(),
});

const USERS = 'a list of user ids';

const channels = section({
  websocket: websocket.nullish(),
  telegram: section({
    token: secret().nullish(),
    allowed_users: textList(USERS).nullish(),
    model: z.unknown().optional(),
  }).nullish(),
  discord: section({
    token: secret().nullish(),
    allowed_users: textList(USERS).nullish(),
    allowed_guilds: textList('a list of guild ids').nullish(),
    listen_channels: textList('a list of channel ids').nullish(),
    dm_only: flag().nullish(),
    model: z.unknown().optional(),
  }).nullish(),
  whatsapp: section({
    green_api_id: text().nullish(),
    green_api_token: secret().nullish(),
    allowed_users: textList(USERS).nullish(),
    model: z.unknown().optional(),
  }).nullish(),
}).catchall(z.record(z.string(), z.unknown(), 'a mapping with the settings of this bridge').nullish());

/** In the file; how many there may be with those of clients and tools is a limit of its own. */
const TASKS_MAX = DEFAULT_LIMITS.scheduledTasks;
const DAYTIME = 'a time of day such as "3:00"';

const scheduler = section({
  enabled: flag().nullish(),
  tasks: z
    .array(
      section({
        name: text(),
        cron: text('a cron expression'),
        prompt: text(),
        enabled: flag().nullish(),
        /** Ours, like the following: where they differ from those of all tasks. */
        timezone: text('a time zone').nullish(),
        missed: oneOf(MISSED_POLICIES).nullish(),
      }),
      'a list of tasks',
    )
    .max(TASKS_MAX, `at most ${TASKS_MAX} tasks`)
    .nullish(),
  /** Ours, like the following. Whether it and the expressions make sense is checked by whoever resolves them. */
  timezone: text('a time zone').nullish(),
  missed: oneOf(MISSED_POLICIES).nullish(),
});

const supervisor = section({
  restart: oneOf(['permanent', 'transient', 'temporary']).nullish(),
  intensity: whole(0).nullish(),
  period_ms: whole(1).nullish(),
  backoff_ms_min: whole(0).nullish(),
  backoff_ms_max: whole(0).nullish(),
  stable_ms: whole(0).nullish(),
  start_timeout_ms: whole(1).nullish(),
  drain_ms: whole(0).nullish(),
  close_ms: whole(1).nullish(),
  hang_ms: whole(500).nullish(),
  native_stall_ms: whole(500).nullish(),
  memory_soft_mb: whole(1, MEMORY_MB_MAX).nullish(),
  memory_hard_mb: whole(1, MEMORY_MB_MAX).nullish(),
  isolation: oneOf(ISOLATIONS).nullish(),
  transport: oneOf(TRANSPORTS).nullish(),
  config_versions: whole(0, 1_000).nullish(),
});

export type LimitName = keyof typeof DEFAULT_LIMITS;

/** What is only counted in bytes on a disk may be larger than any timer or buffer. */
function limitMax(name: string): number {
  return /^upload\w*Bytes$/.test(name) ? Number.MAX_SAFE_INTEGER : WHOLE_MAX;
}

const limits = section(
  Object.fromEntries(
    Object.keys(DEFAULT_LIMITS).map((name) => [limitKey(name), whole(1, limitMax(name)).nullish()]),
  ),
);

export const configSchema = section({
  name: text().nullish(),
  system_prompt: text().nullish(),
  model: model.nullish(),
  providers: z.record(z.string(), provider.nullish(), 'a mapping of providers').nullish(),
  mcp_defaults: flag().nullish(),
  mcp_disable: textList('a list of names').nullish(),
  mcp: z.array(mcpServer, 'a list of servers').nullish(),
  memory: section({
    db_path: text('a path').nullish(),
    vault_path: text('a path').nullish(),
    trash_days: whole(0, 36_500).nullish(),
  }).nullish(),
  channels: channels.nullish(),
  scheduler: scheduler.nullish(),
  dream_mode: section({
    enabled: flag().nullish(),
    time: z.preprocess(toText, z.string(DAYTIME).regex(/^([01]?\d|2[0-3]):[0-5]\d$/, DAYTIME)).nullish(),
    cron: text('a cron expression').nullish(),
  }).nullish(),
  auto_update: section({
    enabled: flag().nullish(),
    mode: oneOf(UPDATE_MODES).nullish(),
    check_interval: text('a cron expression').nullish(),
  }).nullish(),
  services: z.unknown().optional(),
  limits: limits.nullish(),
  logging: section({
    level: oneOf(LOG_LEVELS).nullish(),
    rotate_bytes: whole(1).nullish(),
    keep_files: whole(1, 1_000).nullish(),
  }).nullish(),
  uploads: section({
    retention_days: whole(1, 36_500).nullish(),
    roots: textList('a list of directories').nullish(),
  }).nullish(),
  tools: tools.nullish(),
  transcription: section({
    command: z
      .array(text(), 'a list: a program and its arguments')
      .refine((words) => words.slice(1).some((word) => word.includes('{file}')), {
        error: 'a list with "{file}" in one of the arguments',
      })
      .nullish(),
    /** One that speaks OpenAI's transcription: see `knownProvider`. */
    provider: text().nullish(),
    model_id: text().nullish(),
    timeout_ms: whole(1).nullish(),
  }).nullish(),
  supervisor: supervisor.nullish(),
})
  .superRefine(knownProvider, { when: () => true })
  .superRefine(speechAddress, { when: () => true });

export type Config = z.output<typeof configSchema>;

/** Told beside whatever else is wrong, so it looks at what may not be valid. */
function knownProvider(config: unknown, context: z.core.$RefinementCtx): void {
  const sections = (config ?? {}) as Record<string, Record<string, unknown> | null | undefined>;
  const own = sections.providers ?? {};
  for (const [section, known] of [
    ['model', MODEL_PROVIDERS],
    ['transcription', SPEECH_PROVIDERS],
  ] as const) {
    const name = sections[section]?.provider;
    const values: readonly string[] = known;
    if (typeof name !== 'string' || values.includes(name) || Object.hasOwn(own, name)) continue;
    const message = `one of ${known.join(', ')}, or a name of providers`;
    context.addIssue({
      ...{ code: 'invalid_value', values: [...known], message },
      ...{ path: [section, 'provider'], input: name },
    });
  }
}

/** A provider of one's own that stands at no address turns nothing into text, and would be taken for none. */
function speechAddress(config: unknown, context: z.core.$RefinementCtx): void {
  const sections = (config ?? {}) as Record<string, Record<string, unknown> | null | undefined>;
  const { provider: name, command } = sections.transcription ?? {};
  const own = sections.providers ?? {};
  if (typeof name !== 'string' || command || !Object.hasOwn(own, name) || vendorOf(unaliased(name))) return;
  const { base_url: address } = (own[name] ?? {}) as Record<string, unknown>;
  if (typeof address === 'string' && address.trim() !== '') return;
  const message = `a provider with an address: give providers.${name} a base_url`;
  context.addIssue({ code: 'custom', message, path: ['transcription', 'provider'], input: name });
}

function toText(value: unknown): unknown {
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
}

/** YAML 1.1 allows `1_000_000`. */
function toNumber(value: unknown): unknown {
  if (typeof value !== 'string' || value.trim() === '') return value;
  return Number(/^\d[\d_]*$/.test(value) ? value.replaceAll('_', '') : value);
}

/** YAML 1.1, which the reference's parser speaks, has more words for these two than 1.2. */
function toFlag(value: unknown): unknown {
  const word = String(value).toLowerCase();
  if (['true', 'yes', 'on', '1'].includes(word)) return true;
  if (['false', 'no', 'off', '0'].includes(word)) return false;
  return value;
}

function toList(value: unknown): unknown {
  return typeof value === 'string' || typeof value === 'number' ? [value] : value;
}

function toHostName(value: unknown): unknown {
  return typeof value === 'string' ? value.toLowerCase().replace(/^\[(.*)\]$/, '$1') : value;
}

function toOrigin(value: unknown): unknown {
  return typeof value === 'string' ? value.toLowerCase().replace(/\/$/, '') : value;
}
