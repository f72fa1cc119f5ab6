/** How many tokens a text is, roughly and rather too many: what has to fit a model must not need its tokenizer. */
import type { ModelMessage } from '../models/provider.ts';

const BYTES_PER_TOKEN = 3.5;
/** Of a message, for its role and its ends. */
const MESSAGE_TOKENS = 4;
const IMAGE_TOKENS = 1_600;

export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN);
}

export function estimateMessages(messages: readonly ModelMessage[]): number {
  return messages.reduce((tokens, message) => tokens + MESSAGE_TOKENS + tokensOf(message), 0);
}

function tokensOf(message: ModelMessage): number {
  switch (message.role) {
    case 'user':
      return estimateTokens(message.text) + (message.images?.length ?? 0) * IMAGE_TOKENS;
    case 'assistant': {
      const { text, toolCalls = [], providerData } = message;
      const rest = toolCalls.length > 0 || providerData !== undefined ? [toolCalls, providerData] : [];
      return estimateTokens(text) + rest.reduce<number>((sum, part) => sum + tokensOfJson(part), 0);
    }
    case 'tool':
      return message.results.reduce((sum, { text }) => sum + MESSAGE_TOKENS + estimateTokens(text), 0);
  }
}

function tokensOfJson(value: unknown): number {
  return value === undefined ? 0 : estimateTokens(JSON.stringify(value));
}
