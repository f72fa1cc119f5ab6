/** The AI SDK's model behind a target. Each package is loaded by the first call that needs it, never at a start. */
import type { LanguageModelV3, SharedV3ProviderOptions } from '@ai-sdk/provider';
import type { CallTarget } from './call-target.ts';

/** Sent where none is wanted: without one the packages would look for one in the environment themselves. */
const NO_KEY = 'none';

/** Clients may name any; nobody uses that many. */
const MODELS_MAX = 64;

export type LanguageModels = (target: CallTarget) => Promise<LanguageModelV3>;

/** Each is made once: that builds all schemas of its wire, which takes longer than a call. */
export function createLanguageModels(fetchBytes: typeof fetch): LanguageModels {
  const opened = new Map<string, Promise<LanguageModelV3>>();
  return (target) => {
    const known = opened.get(target.runtimeId);
    if (known) return known;
    const opening = openLanguageModel(target, fetchBytes);
    if (opened.size < MODELS_MAX) opened.set(target.runtimeId, opening);
    // Whoever waits for it hears why; the next call tries again.
    opening.catch(() => opened.delete(target.runtimeId));
    return opening;
  };
}

async function openLanguageModel(target: CallTarget, fetchBytes: typeof fetch): Promise<LanguageModelV3> {
  const { provider, model, settings } = target;
  const options = { baseURL: settings.baseUrl ?? '', apiKey: settings.apiKey || NO_KEY, fetch: fetchBytes };
  switch (settings.wire) {
    case 'anthropic':
      return (await import('@ai-sdk/anthropic')).createAnthropic(options)(model);
    case 'google':
      return (await import('@ai-sdk/google')).createGoogleGenerativeAI(options)(model);
    case 'openai':
      return (await import('@ai-sdk/openai')).createOpenAI(options).responses(model);
    case 'openai-chat': {
      const { createOpenAICompatible } = await import('@ai-sdk/openai-compatible');
      const { apiKey, ...rest } = options;
      // Mistral sends it unasked, and refuses to be asked.
      const includeUsage = provider !== 'mistral';
      const key = settings.apiKey ? { apiKey } : {};
      return createOpenAICompatible({ ...rest, ...key, name: provider, includeUsage }).chatModel(model);
    }
  }
}

export const CALL_OPTIONS: SharedV3ProviderOptions = {
  // A conversation is kept here, so it is not kept at OpenAI as well; what reasoning needs then comes with the answer.
  openai: { store: false },
  // A call is wanted whole. In pieces it may be no JSON, and other servers of this wire do not know the switch.
  anthropic: { toolStreaming: false },
};
