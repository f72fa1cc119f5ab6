/**
 * Makes a directory an agent's. Nothing that exists is ever overwritten, and the configuration appears whole or not at
 * all: a half-written one would be taken for the user's own and refused at the next start.
 */
import { randomUUID } from 'node:crypto';
import { link, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AppError } from '../contract/errors.ts';
import { CONFIG_NAME } from './config/read-config.ts';

/** Secrets are written into both. */
const DIRECTORY_MODE = 0o700;
const CONFIG_MODE = 0o600;
const FOLDERS = ['memories', 'logs'] as const;

/** `exists`: there was an `openagent.yaml` already; what else was missing has been added all the same. */
export type InitOutcome = 'created' | 'exists';

export async function initDirectory(dir: string): Promise<InitOutcome> {
  const full = resolve(dir);
  try {
    await mkdir(dirname(full), { recursive: true });
    await mkdir(full, { mode: DIRECTORY_MODE }).catch(ignoreExisting);
    // First, so that a crash in between leaves an agent without folders, not a folder that is no agent.
    const outcome = await writeNew(full, template(basename(full)));
    for (const name of FOLDERS) {
      await mkdir(join(full, name), { mode: DIRECTORY_MODE }).catch(ignoreExisting);
    }
    return outcome;
  } catch (error) {
    throw unwritable(full, error);
  }
}

export function unwritable(dir: string, error: unknown): AppError {
  const { code, message } = error as NodeJS.ErrnoException;
  const why = REASONS[code ?? ''] ?? message;
  return new AppError('directory.unwritable', `${dir} cannot be written: ${why}`, {
    cause: error,
    details: { dir, reason: code },
  });
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied. Give this user write access, or choose another directory',
  EPERM: 'the operation is not permitted. Give this user write access, or choose another directory',
  EROFS: 'its file system is read-only. Choose another directory',
  ENOSPC: 'the disk is full. Free some space',
  EEXIST: 'something that is no directory has this name. Choose another name',
  ENOTDIR: 'a part of the path is not a directory. Correct the path',
  ENAMETOOLONG: 'the name is too long. Choose a shorter one',
};

/** `link` refuses an existing name, which makes it the atomic form of "write unless it is there". */
async function writeNew(dir: string, text: string): Promise<InitOutcome> {
  const temporary = join(dir, `.${CONFIG_NAME}.${randomUUID()}`);
  try {
    await writeFile(temporary, text, { mode: CONFIG_MODE, flag: 'wx' });
    await link(temporary, join(dir, CONFIG_NAME));
    return 'created';
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return 'exists';
    if (!NO_HARD_LINKS.includes(codeOf(error))) throw error;
    return await writeInPlace(join(dir, CONFIG_NAME), text);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** What `link` says on file systems that have none (FAT, some network mounts). */
const NO_HARD_LINKS: readonly (string | undefined)[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];

async function writeInPlace(file: string, text: string): Promise<InitOutcome> {
  try {
    await writeFile(file, text, { mode: CONFIG_MODE, flag: 'wx' });
    return 'created';
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return 'exists';
    throw error;
  }
}

async function ignoreExisting(error: unknown): Promise<void> {
  if (codeOf(error) !== 'EEXIST') throw error;
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function template(name: string): string {
  return `# Configuration of this agent. Restart the agent after a change.
# Text may contain \${VARIABLE} or \${VARIABLE:-default}: use it for everything secret.

# What clients see. Several agents may share a name; the id is the name of this directory.
name: ${JSON.stringify(name)}

# Added to every conversation.
system_prompt: You are a helpful assistant.

# "echo" needs no key: it answers with what you said.
model:
  provider: echo
  # delay_ms: 20            # pause before each word, to see an answer grow

channels:
  websocket:
    port: 8765              # if taken, the next free one up to +99; the one in use is in the file .port
    # host: 127.0.0.1       # only this machine. Any other address needs a token:
    # token: \${OPENAGENT_WS_TOKEN}
    # allowed_hosts: [agents.example.org]             # names under which clients reach it, besides loopback
    # allowed_origins: ["https://app.example.org"]    # web pages that may connect, besides local ones
  # Any other key here loads a bridge of your own: bridges/<key>.ts

# memory:
#   db_path: openagent.db   # relative to this directory
#   vault_path: memories

# logging:
#   level: info             # debug, info, warn, error

# supervisor:
#   isolation: thread       # or process: costs more memory, contains native crashes too
`;
}
