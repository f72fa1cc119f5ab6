/**
 * Which tools of which server somebody has seen and let pass: a server that later describes one of them differently may
 * be updated, or may have begun to tell the model something else. The first look is trusted, as no other can be had.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Log } from '../logging/log.ts';
import type { ListedTool } from './connection.ts';
import { isRecord } from './tool-list.ts';

/** Told apart from another server of the same name. */
export interface ServerPins {
  readonly target: string;
  /** Hash by tool. */
  readonly tools: Readonly<Record<string, string>>;
}

export interface ToolPins {
  /** Names of tools that are not what was approved, or were not there then. The first tools of a server are approved. */
  check(server: string, target: string, tools: readonly ListedTool[]): Promise<readonly string[]>;
  approve(server: string, target: string, tools: readonly ListedTool[]): Promise<void>;
}

export interface ToolPinsOptions {
  readonly file: string;
  readonly log: Log;
}

export function openToolPins({ file, log }: ToolPinsOptions): ToolPins {
  let pins: Promise<Map<string, ServerPins>> | undefined;
  let writing = Promise.resolve();
  const load = () => {
    pins ??= readPins(file, log);
    return pins;
  };

  const approve = async (server: string, target: string, tools: readonly ListedTool[]): Promise<void> => {
    const known = await load();
    known.set(server, { target, tools: Object.fromEntries(tools.map(({ name, hash }) => [name, hash])) });
    const text = JSON.stringify(Object.fromEntries(known));
    // One after the other, and whole: a half of it would approve everything again.
    writing = writing.then(() => writePins(file, text, log));
    await writing;
  };

  return {
    approve,
    check: async (server, target, tools) => {
      const known = (await load()).get(server);
      if (known?.target !== target) {
        await approve(server, target, tools);
        return [];
      }
      const isApproved = ({ name, hash }: ListedTool) =>
        Object.hasOwn(known.tools, name) && known.tools[name] === hash;
      return tools.filter((tool) => !isApproved(tool)).map(({ name }) => name);
    },
  };
}

async function readPins(file: string, log: Log): Promise<Map<string, ServerPins>> {
  try {
    const read: unknown = JSON.parse(await readFile(file, 'utf8'));
    const entries = Object.entries(isRecord(read) ? read : {});
    return new Map(entries.filter((entry): entry is [string, ServerPins] => isPins(entry[1])));
  } catch (error) {
    const isNew = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!isNew) log.warn('mcp.pins_unreadable', { file, error: String(error) });
    return new Map();
  }
}

function isPins(value: unknown): value is ServerPins {
  return isRecord(value) && typeof value.target === 'string' && isRecord(value.tools);
}

async function writePins(file: string, text: string, log: Log): Promise<void> {
  try {
    await writeFile(`${file}.tmp`, text, { mode: 0o600 });
    await rename(`${file}.tmp`, file);
  } catch (error) {
    // What is known stays known until the next start; a full disk is no reason to lose a server.
    log.warn('mcp.pins_unwritable', { file, error: String(error) });
  }
}
