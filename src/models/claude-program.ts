/** Where Anthropic's agent SDK is, and what is said where it is not. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { AppError } from '../contract/errors.ts';

/** Typed as any text, so that a bundler leaves the package outside. */
export const CLAUDE_SDK: string = '@anthropic-ai/claude-agent-sdk';

/** Its file: what stands in the agent's directory or above comes before what stands beside this program. */
export function findClaudeSdk(
  dir: string,
  others: readonly string[] = [import.meta.url],
): string | undefined {
  for (const from of [join(dir, 'openagent.yaml'), ...others]) {
    try {
      return createRequire(from).resolve(CLAUDE_SDK);
    } catch {
      // Not there: perhaps in the other place.
    }
  }
  return undefined;
}

export function claudeNotInstalled(model: string | undefined, cause?: unknown): AppError {
  const id = model ?? 'claude-sonnet-4-6';
  return new AppError(
    'model.unavailable',
    `claude-cli needs Anthropic's agent SDK and the program claude: run "npm install ${CLAUDE_SDK}" in the agent's directory and log in once with "claude". Or do without: set "model: { provider: anthropic, model_id: ${id} }" in openagent.yaml, and ANTHROPIC_API_KEY or providers.anthropic.api_key to a key of the Anthropic API.`,
    { details: { provider: 'claude-cli' }, ...(cause === undefined ? {} : { cause }) },
  );
}
