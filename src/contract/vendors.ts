/** The API vendors that are known by name: where they are, what they speak, and where their key may stand. */

/**
 * What is spoken with an endpoint. `openai` is the Responses API, `openai-chat` Chat Completions, which everything that
 * calls itself OpenAI-compatible understands.
 */
export const WIRES = ['openai', 'openai-chat', 'anthropic', 'google'] as const;
export type Wire = (typeof WIRES)[number];

export interface Vendor {
  readonly label: string;
  readonly wire: Wire;
  readonly baseUrl: string;
  /** Environment variables that may hold its key, in the order in which they are looked at; none: it wants no key. */
  readonly keyVariables: readonly string[];
}

const vendor = (label: string, baseUrl: string, ...keyVariables: string[]): Vendor => ({
  label,
  wire: 'openai-chat',
  baseUrl,
  keyVariables,
});

/** Names of API vendors, as in `providers:` and before the `:` of a runtime id. */
export const VENDORS = [
  'anthropic',
  'cerebras',
  'deepseek',
  'google',
  'groq',
  'mistral',
  'openai',
  'openrouter',
  'xai',
  'zai',
] as const;

/** Servers of models on one's own machine; they want no key. */
export const LOCAL_VENDORS = ['llamacpp', 'lmstudio', 'ollama', 'vllm'] as const;

export type VendorName = (typeof VENDORS)[number] | (typeof LOCAL_VENDORS)[number];

const TABLE: Readonly<Record<VendorName, Vendor>> = {
  anthropic: {
    ...vendor('Anthropic', 'https://api.anthropic.com/v1', 'ANTHROPIC_API_KEY'),
    wire: 'anthropic',
  },
  cerebras: vendor('Cerebras', 'https://api.cerebras.ai/v1', 'CEREBRAS_API_KEY'),
  deepseek: vendor('DeepSeek', 'https://api.deepseek.com/v1', 'DEEPSEEK_API_KEY'),
  google: {
    ...vendor(
      'Google',
      'https://generativelanguage.googleapis.com/v1beta',
      'GOOGLE_API_KEY',
      'GEMINI_API_KEY',
    ),
    wire: 'google',
  },
  groq: vendor('Groq', 'https://api.groq.com/openai/v1', 'GROQ_API_KEY'),
  mistral: vendor('Mistral', 'https://api.mistral.ai/v1', 'MISTRAL_API_KEY'),
  openai: { ...vendor('OpenAI', 'https://api.openai.com/v1', 'OPENAI_API_KEY'), wire: 'openai' },
  openrouter: vendor('OpenRouter', 'https://openrouter.ai/api/v1', 'OPENROUTER_API_KEY'),
  xai: vendor('xAI', 'https://api.x.ai/v1', 'XAI_API_KEY'),
  zai: vendor('Z.ai', 'https://api.z.ai/api/paas/v4', 'ZAI_API_KEY'),
  llamacpp: vendor('llama.cpp', 'http://127.0.0.1:8080/v1'),
  lmstudio: vendor('LM Studio', 'http://127.0.0.1:1234/v1'),
  ollama: vendor('Ollama', 'http://127.0.0.1:11434/v1'),
  vllm: vendor('vLLM', 'http://127.0.0.1:8000/v1'),
};

export function vendorOf(name: string): Vendor | undefined {
  return Object.hasOwn(TABLE, name) ? TABLE[name as VendorName] : undefined;
}

/** What the reference accepts under other names. */
export const PROVIDER_ALIASES: Readonly<Record<string, string>> = {
  'claude-api': 'anthropic',
  zhipu: 'zai',
  litellm: 'agno',
};

/** The name behind an alias; any other name is its own. */
export function unaliased(name: string): string {
  return Object.hasOwn(PROVIDER_ALIASES, name) ? (PROVIDER_ALIASES[name] as string) : name;
}
