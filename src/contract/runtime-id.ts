/**
 * How a model is called everywhere: `provider:model`, `claude-cli/model` for the Claude command line, or a provider
 * alone. Names of models hold `/` and `:` themselves (`openrouter:anthropic/claude-3.5:beta`), so only the first `:`
 * separates, and one that stands in the name of a provider is written as `%3A`.
 */
export interface RuntimeId {
  readonly provider: string;
  readonly model: string | undefined;
}

export const CLAUDE_CLI = 'claude-cli';

export function formatRuntimeId({ provider, model }: RuntimeId): string {
  const name = provider.replaceAll(/[%:/]/g, encodeURIComponent);
  if (model === undefined) return name;
  return provider === CLAUDE_CLI ? `${CLAUDE_CLI}/${model}` : `${name}:${model}`;
}

/** Of what `formatRuntimeId` gave, exactly what it was given. */
export function parseRuntimeId(id: string): RuntimeId {
  if (id.startsWith(`${CLAUDE_CLI}/`))
    return { provider: CLAUDE_CLI, model: id.slice(CLAUDE_CLI.length + 1) };
  const at = id.indexOf(':');
  if (at === -1) return { provider: decoded(id), model: undefined };
  return { provider: decoded(id.slice(0, at)), model: id.slice(at + 1) };
}

/** Somebody may have typed it: what is not encoded stands for itself. */
function decoded(name: string): string {
  return name.replaceAll(/%(?:25|3A|2F)/g, decodeURIComponent);
}
