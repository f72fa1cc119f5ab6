/** `validate` as a command of the program: its token, its signals and its exit code. The checks are in `src/validate`. */
import { AppError } from '../contract/errors.ts';
import type { ValidateOptions } from './command-line/validate-command.ts';
import { EXIT_CODES } from './exit-codes.ts';
import { readTokenOption } from './token-option.ts';

const STOP_SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

export async function runValidate(url: URL, options: ValidateOptions, ownVersion: string): Promise<void> {
  const token = await readToken(options);
  if (token === 'unreadable') return;
  const stop = new AbortController();
  const end = (signal: keyof typeof STOP_SIGNALS): void => {
    process.exitCode = 128 + STOP_SIGNALS[signal];
    stop.abort();
  };
  for (const signal of Object.keys(STOP_SIGNALS) as (keyof typeof STOP_SIGNALS)[]) {
    process.on(signal, () => end(signal));
  }
  // The launcher passes its own signals on as messages; waiting for them must not keep this process.
  process.on('message', (message: { type?: unknown; signal?: unknown }) => {
    if (message.type === 'signal' && message.signal === 'SIGTERM') end('SIGTERM');
    else if (message.type === 'signal') end('SIGINT');
  });
  process.channel?.unref();
  const { validate } = await import('../validate/validate.ts');
  const exitCode = await validate({
    ...{ url, ownVersion, token: token.value, json: options.json, all: options.all },
    ...{ messages: options.messages, areas: options.only },
    ...{
      timeoutMs: options.timeoutSeconds * 1000,
      out: process.stdout,
      env: process.env,
      signal: stop.signal,
    },
  });
  if (!stop.signal.aborted) process.exitCode = exitCode;
}

async function readToken(options: ValidateOptions): Promise<{ value: string | undefined } | 'unreadable'> {
  const warn = ({ message }: { message: string }): unknown => process.stderr.write(`warning: ${message}\n`);
  try {
    const value = await readTokenOption(options, warn);
    return { value: value ?? (process.env.OPENAGENT_WS_TOKEN || undefined) };
  } catch (error) {
    if (!AppError.is(error)) throw error;
    process.stderr.write(`error: ${error.message}\n`);
    process.exitCode = EXIT_CODES.usage.code;
    return 'unreadable';
  }
}
