/**
 * Everything between an agent's directory and a valid PreparedAgent. Each agent is loaded on its own: what is wrong
 * with one is its own AppError and nobody else's.
 */
import { realpath } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Config } from '../../contract/config.ts';
import type { WireError } from '../../contract/errors.ts';
import { AppError } from '../../contract/errors.ts';
import type { ModelSettings } from '../../contract/model-settings.ts';
import type { GatewaySettings } from '../../contract/worker-protocol.ts';
import { etagOf } from '../config-store/config-file.ts';
import type { PreparedAgent } from '../fleet.ts';
import { configError, configWarning } from './config-problem.ts';
import { isLoopbackHost } from './loopback.ts';
import { type ParsedConfig, parseConfig } from './parse-config.ts';
import { CONFIG_NAME, readConfigBytes } from './read-config.ts';
import { DEFAULT_PORT, type LoadOptions, resolveSettings, resolveSpec } from './resolve-config.ts';
import { mcpWarnings } from './resolve-mcp.ts';
import { modelSecrets } from './resolve-model.ts';
import { checkSchedule } from './resolve-schedule.ts';
import { collectSecrets, isSecretKey } from './secrets.ts';
import { validateConfig } from './validate-config.ts';

const HOST_PATH = ['channels', 'websocket', 'host'];

export interface LoadedAgent {
  readonly prepared: PreparedAgent;
  readonly warnings: readonly WireError[];
  readonly file: string;
  readonly text: string;
  readonly etag: string;
}

/** `dir` as given on the command line: its base name is the agent's id, also when it is a symbolic link. */
export async function loadAgent(dir: string, options: LoadOptions): Promise<LoadedAgent> {
  const file = join(resolve(dir), CONFIG_NAME);
  const bytes = await readConfigBytes(file);
  const text = bytes.toString('utf8');
  const agent = { id: basename(resolve(dir)), dir: await realpath(dir) };
  return { ...prepareAgent(agent, file, text, options), file, text, etag: etagOf(bytes) };
}

/** What a start would make of this text. Throws what would refuse the agent. */
export type PrepareAgent = (
  agent: { readonly id: string; readonly dir: string },
  file: string,
  text: string,
) => { readonly prepared: PreparedAgent; readonly warnings: readonly WireError[] };

/** What a configuration of this text would be, wherever it stands; `file` is how messages call it. */
export function prepareAgent(
  agent: { readonly id: string; readonly dir: string },
  file: string,
  source: string,
  options: LoadOptions,
): { prepared: PreparedAgent; warnings: readonly WireError[] } {
  const parsed = parseConfig(file, source, options.env);
  const { config, warnings } = validateConfig(file, parsed);
  const scheduleWarnings = checkSchedule(file, parsed, config);
  const settings = resolveSettings(agent, config, parsed.data, options);
  const spec = resolveSpec(agent.id, agent.dir, config.supervisor);
  if (spec.backoffMsMin > spec.backoffMsMax) throw backoffError(file, parsed, spec.backoffMsMin);
  if ((spec.memorySoftBytes ?? 0) > (spec.memoryHardBytes ?? Infinity)) throw memoryError(file, parsed);
  refusePublicBind(file, parsed, settings.gateway, options);
  const { transport, isolation } = options.overrides;
  return {
    prepared: {
      spec,
      settings: { ...settings, secrets: secretsOf(parsed, settings.gateway, settings.model) },
      isolation: isolation ?? config.supervisor?.isolation ?? 'thread',
      transport: transport ?? config.supervisor?.transport ?? 'auto',
      preferredPort: preferredPort(config, options),
    },
    warnings: [
      ...parsed.warnings,
      ...warnings,
      ...scheduleWarnings,
      ...mcpWarnings(file, config, parsed),
      ...legacyRestWarnings(file, parsed, settings.gateway),
    ],
  };
}

function backoffError(file: string, parsed: ParsedConfig, min: number): AppError {
  const path = ['supervisor', 'backoff_ms_max'];
  const expected = `at least backoff_ms_min, which is ${min}`;
  const problem = { ...parsed.placeOf(path), key: path.join('.'), expected, text: `expected ${expected}` };
  return configError('config.invalid', file, [problem]);
}

function memoryError(file: string, parsed: ParsedConfig): AppError {
  const path = ['supervisor', 'memory_soft_mb'];
  const expected = 'at most memory_hard_mb';
  const problem = { ...parsed.placeOf(path), key: path.join('.'), expected, text: `expected ${expected}` };
  return configError('config.invalid', file, [problem]);
}

function refusePublicBind(
  file: string,
  parsed: ParsedConfig,
  gateway: GatewaySettings,
  options: LoadOptions,
): void {
  if (gateway.token !== undefined || isLoopbackHost(gateway.host)) return;
  const mend = 'set channels.websocket.token (or OPENAGENT_WS_TOKEN), or bind host 127.0.0.1';
  const text = `host ${gateway.host} can be reached from other machines and no token is set; ${mend}`;
  const place = parsed.placeOf(HOST_PATH);
  const problem = { ...place, key: HOST_PATH.join('.'), expected: 'a token, or host 127.0.0.1', text };
  if (!options.overrides.host) throw configError('bind.public_without_token', file, [problem]);
  throw new AppError('bind.public_without_token', `--host: ${text}`, { details: { file } });
}

function preferredPort(config: Config, { overrides }: LoadOptions): number {
  const port = overrides.port ?? config.channels?.websocket?.port ?? DEFAULT_PORT;
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new AppError('bind.port_invalid', `--port: expected a number from 0 to 65535, got ${port}`);
}

/** The token and keys may come from outside the file; a variable named like a secret may stand in any text. */
function secretsOf(parsed: ParsedConfig, gateway: GatewaySettings, model: ModelSettings): readonly string[] {
  const substituted = parsed.substituted.filter(({ name }) => isSecretKey(name)).map(({ value }) => value);
  return collectSecrets(parsed.data, [gateway.token, ...modelSecrets(model), ...substituted]);
}

function legacyRestWarnings(file: string, parsed: ParsedConfig, gateway: GatewaySettings): WireError[] {
  if (gateway.legacyRest === 'off') return [];
  const path = ['channels', 'websocket', 'legacy_rest'];
  const text =
    gateway.token === undefined
      ? 'has no effect without a token: REST is open to this machine anyway'
      : 'REST answers without the token on this machine while an authenticated WebSocket is open';
  return [configWarning(file, { ...parsed.placeOf(path), key: path.join('.'), expected: 'off', text })];
}
