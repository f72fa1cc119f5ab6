/**
 * What a provider's failure means, in the codes of the errors table, and as a sentence that says who failed, how, and
 * what to do. Told by status and by words of the body: vendors agree on neither. Never holds a key.
 */
import { AppError, type ErrorCode } from '../contract/errors.ts';
import { type CallTarget, keyMend } from './call-target.ts';

/** What the errors of the AI SDK have in common; read by shape, because a bundle may hold its classes twice. */
interface Failure {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string | number;
  readonly type?: string;
  readonly status?: string;
  readonly statusCode?: number;
  readonly responseHeaders?: Readonly<Record<string, string>>;
  readonly responseBody?: string;
  readonly cause?: unknown;
}

type ModelCode = Extract<ErrorCode, `model.${string}`>;

const SAID_CHARS = 300;
const CAUSES_MAX = 5;

const CONTEXT =
  /context.{0,20}(length|window|limit)|maximum context|prompt is too long|too many (input )?tokens|input token count.*exceeds|context_length_exceeded|reduce the length|exceeds? the (maximum|model).{0,40}tokens/i;
const FILTER =
  /content[_ -]?(filter|policy|management)|safety|moderation|flagged|blocked|invalid_prompt|sensitive|usage policies/i;
const QUOTA =
  /insufficient_quota|exceeded your current quota|credit|billing|payment|insufficient[_ ]balance/i;
const RATE = /rate.?limit|too many requests|resource_exhausted|quota/i;
const OVERLOADED = /overloaded|unavailable|capacity|server_error|internal|try again/i;
const KEY = /api[_ -]?key|unauthori[sz]ed|authentication|permission/i;
const TIMED_OUT = /^(UND_ERR_HEADERS_TIMEOUT|UND_ERR_BODY_TIMEOUT)$/;
const API_ERROR = 'AI_APICallError';
const UNSUPPORTED = /UnsupportedFunctionality|InvalidPrompt|InvalidArgument/;
const CONNECTION = /fetch failed|terminated|socket|other side closed|network|aborted|ECONN|EPIPE|ENOTFOUND/i;
const CUT = /ended without a finish reason/;
const GARBAGE = /JSONParse|TypeValidation|InvalidResponseData|EmptyResponseBody|NoContentGenerated/;

export function classifyFailure(error: unknown, target: CallTarget): AppError {
  if (AppError.is(error)) return error;
  const failure = asFailure(error);
  const status = statusOf(failure);
  const said = saidBy(failure, target);
  const code = codeOf(failure, status, `${said} ${failure.responseBody ?? ''}`);
  const retryAfterMs = retryAfterMsOf(failure.responseHeaders);
  // Around it, the error of the AI SDK holds the whole conversation.
  const cause = failure.name === API_ERROR ? failure.cause : error;
  return modelError(code, target, { said, status, retryAfterMs, cause });
}

/** Of our own making: its stack belongs into the log, and nobody else is to blame. */
export function isDefect(error: unknown): boolean {
  if (!(error instanceof Error) || !/^(Type|Reference|Range|Syntax)Error$/.test(error.name)) return false;
  return !causes(error).some(({ code, message }) => code !== undefined || CONNECTION.test(message ?? ''));
}

/** The provider has made no progress for too long. */
export function stalled(missed: 'bytes' | 'answer', target: CallTarget): AppError {
  if (missed === 'bytes') return modelError('model.timeout', target);
  const { provider, model, label } = target;
  const message = `${label} gave signs of life, and nothing of an answer for too long. Try again, or raise model.progress_timeout_ms.`;
  return new AppError('model.timeout', message, { details: { provider, model } });
}

interface Facts {
  readonly said?: string | undefined;
  readonly status?: number | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

export function modelError(code: ModelCode, target: CallTarget, facts: Facts = {}): AppError {
  const { said, status, retryAfterMs, cause } = facts;
  const what = [status, said].filter((part) => part !== undefined && part !== '').join(': ');
  const details = {
    provider: target.provider,
    model: target.model,
    ...(status === undefined ? {} : { status }),
    ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
  };
  const happened = `${target.label} ${HAPPENED[code] ?? 'failed'}${what === '' ? '' : ` (${what})`}.`;
  return new AppError(code, `${happened} ${mendOf(code, target, retryAfterMs)}`, { details, cause });
}

const HAPPENED: Readonly<Partial<Record<ModelCode, string>>> = {
  'model.auth': 'refused the API key',
  'model.quota': 'has no credit left for this account',
  'model.rejected': 'refused the request',
  'model.rate_limited': 'limits the rate of requests',
  'model.overloaded': 'is overloaded or failing',
  'model.context_too_long': 'cannot read a conversation this long',
  'model.content_filter': 'refused to answer for the content',
  'model.network': 'could not be reached, or ended the connection in the middle of its answer',
  'model.garbage': 'sent what its API does not promise',
  'model.timeout': 'sent nothing for too long',
  'model.empty': 'sent an empty answer',
};

function mendOf(code: ModelCode, { provider, model, settings }: CallTarget, retryAfterMs = 0): string {
  switch (code) {
    case 'model.auth':
      return keyMend(provider);
    case 'model.quota':
      return 'Add credit to the account, or name another model under model.fallbacks.';
    case 'model.rejected':
      return `Check that it serves the model "${model}" at ${addressOf(settings.baseUrl)}: model.model_id and base_url in openagent.yaml.`;
    case 'model.rate_limited': {
      const when = retryAfterMs > 0 ? `in ${Math.ceil(retryAfterMs / 1_000)} s` : 'later';
      return `Try again ${when}, or name another model under model.fallbacks.`;
    }
    case 'model.context_too_long':
      return 'Begin a new session, or use a model that reads more.';
    case 'model.content_filter':
      return 'Ask differently.';
    case 'model.network':
      return `Check the network and the address ${addressOf(settings.baseUrl)} (providers.${provider}.base_url).`;
    case 'model.garbage':
      return `Try again; if it stays, check that ${addressOf(settings.baseUrl)} speaks "${settings.wire}" (providers.${provider}.wire).`;
    case 'model.timeout':
      return 'Try again, or raise model.timeout_ms.';
    default:
      return 'Try again later, or name another model under model.fallbacks.';
  }
}

/** Without user, password and query. */
function addressOf(baseUrl: string | undefined): string {
  return (baseUrl ?? '').replace(/\/\/[^/@]*@/, '//').replace(/[?#].*$/, '');
}

function codeOf(failure: Failure, status: number | undefined, words: string): ModelCode {
  const codes = `${failure.code ?? ''} ${failure.type ?? ''} ${failure.status ?? ''} ${words}`;
  if (status === undefined) return codeWithoutStatus(failure, codes);
  if (status === 401 || (status === 403 && !FILTER.test(codes))) return 'model.auth';
  if (status === 402) return 'model.quota';
  if (status === 429)
    return QUOTA.test(codes) && !RETRY_DELAY.test(codes) ? 'model.quota' : 'model.rate_limited';
  if (status === 408 || status === 504) return 'model.timeout';
  if (status >= 500) return 'model.overloaded';
  if (status === 413 || CONTEXT.test(codes)) return 'model.context_too_long';
  if (status === 400 && /api[_ -]?key/i.test(codes)) return 'model.auth';
  if (status === 400 && /credit balance/i.test(codes)) return 'model.quota';
  return FILTER.test(codes) && status !== 404 ? 'model.content_filter' : 'model.rejected';
}

/** Google calls every limit a quota, and says when to come back. */
const RETRY_DELAY = /retryDelay|retry in|per (minute|second)/i;

/** In the middle of a stream there is no status any more, only the vendor's words; or it is not from there at all. */
function codeWithoutStatus(failure: Failure, codes: string): ModelCode {
  const isGarbage = causes(failure).some(({ name }) => GARBAGE.test(name ?? ''));
  if (isGarbage) return CUT.test(codes) ? 'model.network' : 'model.garbage';
  if (causes(failure).some(({ code }) => TIMED_OUT.test(String(code)))) return 'model.timeout';
  if (UNSUPPORTED.test(failure.name ?? '')) return 'model.rejected';
  if (failure.name === API_ERROR || CONNECTION.test(codes)) return 'model.network';
  if (CONTEXT.test(codes)) return 'model.context_too_long';
  if (QUOTA.test(codes) && !RETRY_DELAY.test(codes)) return 'model.quota';
  if (RATE.test(codes)) return 'model.rate_limited';
  if (FILTER.test(codes)) return 'model.content_filter';
  if (KEY.test(codes)) return 'model.auth';
  return OVERLOADED.test(codes) ? 'model.overloaded' : 'model.garbage';
}

function asFailure(error: unknown): Failure {
  if (typeof error === 'string') return { message: error };
  if (typeof error !== 'object' || error === null) return {};
  // OpenAI's stream says {type: 'error', error: {…}}, some compatible ones {error: {…}}.
  const inner = (error as { readonly error?: unknown }).error;
  return !(error instanceof Error) && typeof inner === 'object' && inner !== null ? inner : error;
}

/** In a stream, Google and OpenRouter send the status as the error's code. */
function statusOf({ statusCode, code }: Failure): number | undefined {
  const status = statusCode ?? Number(code);
  return isFailing(status) ? status : undefined;
}

/** What broke after a good status has none of its own. */
function isFailing(status: number | undefined): boolean {
  return Number.isInteger(status) && Number(status) >= 400 && Number(status) < 600;
}

function causes(failure: Failure): readonly Failure[] {
  const chain: Failure[] = [failure];
  for (let next = failure.cause; typeof next === 'object' && next !== null && chain.length < CAUSES_MAX; ) {
    chain.push(next);
    next = (next as Failure).cause;
  }
  return chain;
}

/** Its own words in one line, without the key, which some vendors repeat. */
function saidBy(failure: Failure, { settings }: CallTarget): string {
  const innermost = causes(failure).at(-1);
  // Of what cannot be read the parser says little and repeats much.
  if (/Parse|Validation|^SyntaxError$/.test(innermost?.name ?? '')) return '';
  const text = isFailing(failure.statusCode) ? failure.message : (innermost?.message ?? failure.message);
  const line = (text ?? '').replaceAll(/\s+/g, ' ').trim().replace(/\.$/, '');
  const bare = settings.apiKey ? line.replaceAll(settings.apiKey, '****') : line;
  return bare.length > SAID_CHARS ? `${bare.slice(0, SAID_CHARS)}…` : bare;
}

/** Seconds, a date, or OpenAI's own milliseconds. */
function retryAfterMsOf(headers: Readonly<Record<string, string>> | undefined): number | undefined {
  const exact = Number(headers?.['retry-after-ms'] ?? NaN);
  if (Number.isFinite(exact) && exact >= 0) return exact;
  const written = headers?.['retry-after'];
  if (written === undefined) return undefined;
  const seconds = Number(written);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(written) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
