/** What a call cost in tokens: as the AI SDK counts it at the end, or, of a call that has no end, as it was last told. */
import type { LanguageModelV3Usage } from '@ai-sdk/provider';
import type { CallTarget } from './call-target.ts';
import type { TokenUsage } from './provider.ts';

export const UNKNOWN_USAGE: TokenUsage = {
  input: undefined,
  output: undefined,
  cacheRead: undefined,
  cacheWrite: undefined,
  reasoning: undefined,
};

export function usageOf(
  { inputTokens, outputTokens, raw }: LanguageModelV3Usage,
  target: CallTarget,
): TokenUsage {
  const cost = target.provider === 'openrouter' ? numberIn(raw, 'cost') : undefined;
  return {
    input: inputTokens.total,
    output: outputTokens.total,
    cacheRead: inputTokens.cacheRead,
    cacheWrite: inputTokens.cacheWrite,
    reasoning: outputTokens.reasoning,
    ...(cost === undefined ? {} : { costUsd: cost }),
  };
}

/** From one chunk as it came over the wire; `known` is what earlier ones said. */
export function usageInChunk(chunk: unknown, known: TokenUsage): TokenUsage {
  const found =
    at(chunk, 'usage') ??
    at(chunk, 'message', 'usage') ??
    at(chunk, 'response', 'usage') ??
    at(chunk, 'usageMetadata');
  if (found === undefined) return known;
  const pick = (...names: string[]) =>
    names.map((name) => numberIn(found, name)).find((value) => value !== undefined);
  const cacheRead = pick('cache_read_input_tokens', 'cachedContentTokenCount') ?? known.cacheRead;
  const cacheWrite = pick('cache_creation_input_tokens') ?? known.cacheWrite;
  const input = pick('prompt_tokens', 'input_tokens', 'promptTokenCount');
  // Anthropic alone counts what was cached beside the input.
  const isBeside = numberIn(found, 'cache_read_input_tokens') !== undefined;
  const beside = isBeside ? (cacheRead ?? 0) + (cacheWrite ?? 0) : 0;
  const output = pick('completion_tokens', 'output_tokens', 'candidatesTokenCount');
  // Google alone counts reasoning beside the output.
  const thoughts = pick('thoughtsTokenCount') ?? 0;
  return {
    input: input === undefined ? known.input : input + beside,
    output: output === undefined ? known.output : output + thoughts,
    cacheRead,
    cacheWrite,
    reasoning: pick('thoughtsTokenCount') ?? known.reasoning,
  };
}

function at(value: unknown, ...path: readonly string[]): object | undefined {
  let found = value;
  for (const key of path) found = (found as Record<string, unknown> | null | undefined)?.[key];
  return typeof found === 'object' && found !== null ? found : undefined;
}

function numberIn(value: unknown, key: string): number | undefined {
  const number = (value as Record<string, unknown> | null | undefined)?.[key];
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}
