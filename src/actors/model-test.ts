/**
 * One small call of a provider, to see whether its key and address are right: as the file has them now, without retries
 * and without a second model, ended by a deadline. It costs money, so the ledger counts it.
 */
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { ModelSettings } from '../contract/model-settings.ts';
import { formatRuntimeId } from '../contract/runtime-id.ts';
import type { TestResult } from '../contract/schemas/models.ts';
import { unaliased } from '../contract/vendors.ts';
import type { ModelsService } from '../gateway/services/models-service.ts';
import type { ModelProvider, StreamPart } from '../models/provider.ts';
import type { UsageLedger } from '../usage/ledger.ts';

export interface ModelTestParts {
  readonly clock: Clock;
  readonly ledger: Pick<UsageLedger, 'reserve'>;
  /** As the configuration says them now. */
  settings(): Promise<ModelSettings>;
  createModel(settings: ModelSettings): ModelProvider;
  onDefect(error: unknown): void;
}

interface Chosen {
  readonly settings: ModelSettings;
  readonly runtimeId: string;
}

const TEST_MS = 30_000;
const PROMPT = 'Reply with one word: ready';
const SESSION = 'provider-test';
/** Far more than there are characters in it, for what providers put around it. */
const INPUT_TOKENS = 200;
const OUTPUT_TOKENS_MAX = 2_000;
const RESPONSE_CHARS_MAX = 2_000;

export function createModelTest(parts: ModelTestParts): ModelsService['test'] {
  return async (provider, modelId): Promise<TestResult> => {
    try {
      const chosen = choose(await parts.settings(), provider, modelId);
      return { ok: true, model: chosen.runtimeId, response: await callOnce(chosen, parts) };
    } catch (error) {
      if (!AppError.is(error)) parts.onDefect(error);
      const { code, message } = AppError.toWire(error);
      return { ok: false, error: message, code };
    }
  };
}

function choose(settings: ModelSettings, written: string, modelId: string | undefined): Chosen {
  const provider = unaliased(written);
  const entry = Object.hasOwn(settings.providers, provider) ? settings.providers[provider] : undefined;
  const isUsable =
    entry?.baseUrl !== undefined &&
    (!entry.needsKey || entry.apiKey !== undefined || entry.models.length > 0);
  // Has no entry of its own: what it needs is for the model itself to say.
  if (!isUsable && provider !== 'claude-cli') throw notConfigured(written);
  const enabled = entry?.models.find(({ id }) => !entry.disabledModels.includes(id))?.id;
  const model = withoutPrefix(modelId ?? enabled, provider);
  if (model === undefined && provider !== 'claude-cli') {
    const message = `No models configured for provider '${written}'`;
    throw new AppError(
      'model.unconfigured',
      `${message}: name one in the request, or under providers.${written}.models`,
    );
  }
  const single = { provider, modelId: model, routing: undefined, fallbacks: [], channels: {} };
  const retry = { ...settings.retry, count: 0 };
  return {
    settings: { ...settings, ...single, retry },
    runtimeId: formatRuntimeId({ provider, model }),
  };
}

function notConfigured(name: string): AppError {
  const message = `Provider '${name.slice(0, 200)}' not configured`;
  return new AppError('model.unconfigured', `${message}: give it an api_key or a base_url under providers`);
}

function withoutPrefix(model: string | undefined, provider: string): string | undefined {
  const prefix = `${provider}:`;
  return model?.startsWith(prefix) ? model.slice(prefix.length) : model;
}

async function callOnce(chosen: Chosen, parts: ModelTestParts): Promise<string> {
  const { clock, ledger } = parts;
  const deadline = new AbortController();
  const late = new AppError('model.timeout', `${chosen.runtimeId} did not answer within ${TEST_MS / 1000} s`);
  const timer = clock.setTimeout(() => deadline.abort(late), TEST_MS);
  try {
    const reservation = await ledger.reserve({
      ...{ model: chosen.runtimeId, kind: 'test', sessionId: SESSION },
      ...{ inputTokens: INPUT_TOKENS, outputTokensMax: OUTPUT_TOKENS_MAX, signal: deadline.signal },
    });
    try {
      return await readAnswer(chosen, parts, deadline.signal, (part, emittedChars) =>
        reservation.record({ ...part, purpose: 'test', emittedChars }),
      );
    } finally {
      reservation.release();
    }
  } finally {
    clock.clearTimeout(timer);
  }
}

type UsagePart = Extract<StreamPart, { type: 'usage' }>;

async function readAnswer(
  { settings, runtimeId }: Chosen,
  { createModel }: ModelTestParts,
  signal: AbortSignal,
  onUsage: (part: UsagePart, emittedChars: number) => void,
): Promise<string> {
  const messages = [{ role: 'user', text: PROMPT }] as const;
  const stream = createModel(settings).stream({ model: runtimeId, system: '', messages, signal });
  const parts = stream[Symbol.asyncIterator]();
  const aborted = rejectionOf(signal);
  let text = '';
  let emittedChars = 0;
  try {
    for (;;) {
      const next = await Promise.race([parts.next(), aborted]);
      if (next.done) return text.slice(0, RESPONSE_CHARS_MAX);
      const part = next.value;
      if (part.type === 'usage') onUsage(part, emittedChars);
      if (part.type === 'text' || part.type === 'reasoning') emittedChars += part.delta.length;
      if (part.type === 'text' && text.length < RESPONSE_CHARS_MAX) text += part.delta;
    }
  } finally {
    // One that does not end by its signal is left to itself; what it says then is nobody's.
    void Promise.resolve(parts.return?.()).catch(() => undefined);
  }
}

/** For races that are over before it: nobody hears it then. */
function rejectionOf(signal: AbortSignal): Promise<never> {
  const rejection = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  rejection.catch(() => undefined);
  return rejection;
}
