/**
 * Finds and constructs the user's class for one `channels.<name>`. Everything that can be wrong with it (no file, bad
 * syntax, a missing package, the wrong export, a constructor that throws) ends as one `bridge.invalid` that names file
 * and line: the author reads it on the start line and in the log.
 */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { AppError } from '../contract/errors.ts';
import type { Log } from '../logging/log.ts';
import { createTranspiler, isBuildFailure, type Transpiler, toLine } from './transpile.ts';

/** What a user writes: the default export of a file in `<agent>/bridges` is a class of this shape. */
export interface UserBridge {
  readonly name?: unknown;
  /** Works until `signal` aborts. A rejection, or an end before that, starts the bridge anew after a pause. */
  run(signal: AbortSignal): Promise<void>;
}

/** As `spawn` of `node:child_process`, but the program ends with the agent, and sees no environment but what is named. */
export type SpawnChild = (
  command: string,
  args?: readonly string[],
  options?: Omit<SpawnOptions, 'detached' | 'env'> & { readonly env?: Readonly<Record<string, string>> },
) => ChildProcess;

/** What its constructor is given. */
export interface UserBridgeOptions {
  readonly gateway: {
    /** The agent's own WebSocket, e.g. `ws://127.0.0.1:8765/ws`. */
    readonly url: string;
    readonly token: string | undefined;
  };
  /** What stands under `channels.<name>` in `openagent.yaml`. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly log: Log;
  readonly spawn: SpawnChild;
}

export interface OpenedBridge {
  readonly file: string;
  readonly bridge: UserBridge;
}

export interface BridgeLoader {
  /** Rejects with `bridge.invalid`. */
  open(channel: string, options: UserBridgeOptions): Promise<OpenedBridge>;
}

const EXTENSIONS = ['.ts', '.mjs', '.js'];
/** Channels the reference serves itself. */
const BUILT_IN = ['telegram', 'discord', 'whatsapp'];

/** `dir` is `<agent>/bridges`; `channels` are all configured ones: a file named after another one is not tried. */
export function createBridgeLoader(dir: string, channels: readonly string[]): BridgeLoader {
  const transpiler = createTranspiler(dirname(dir));
  /** Versions of files that are known to be some other channel's bridge, as `channel file hash`. */
  const others = new Set<string>();

  /** A file of another name may hold the bridge: its `name` says so. */
  const findByName = async (
    channel: string,
    options: UserBridgeOptions,
    files: readonly string[],
  ): Promise<OpenedBridge> => {
    const failures: string[] = [];
    for (const file of files.filter((candidate) => !channels.includes(nameOf(candidate)))) {
      const version = `${channel} ${file} ${hashOf(await readFile(file))}`;
      if (others.has(version)) continue;
      try {
        const opened = await openFile(file, options, transpiler);
        if (opened.bridge.name === channel) return opened;
        others.add(version);
      } catch (error) {
        failures.push(toMessage(error));
      }
    }
    throw notFound(channel, dir, failures);
  };

  return {
    open: async (channel, options) => {
      const files = await listModules(dir);
      const named = files.filter((file) => nameOf(file) === channel);
      const [file, second] = named;
      if (file === undefined) return findByName(channel, options, files);
      if (second === undefined) return openFile(file, options, transpiler);
      const names = named.map((path) => basename(path)).join(' and ');
      throw invalid(`channels.${channel}: both ${names} stand in ${dir}; remove or rename one of them`);
    },
  };
}

async function listModules(dir: string): Promise<string[]> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw invalid(`${dir} cannot be read: ${error.message}`, error);
  });
  const modules = names.filter(
    (name) => EXTENSIONS.includes(extname(name)) && !name.endsWith('.d.ts') && !name.startsWith('.'),
  );
  return modules.sort().map((name) => join(dir, name));
}

async function openFile(
  file: string,
  options: UserBridgeOptions,
  transpiler: Transpiler,
): Promise<OpenedBridge> {
  const exported = await importDefault(file, transpiler);
  if (typeof exported !== 'function') throw wrongExport(file);
  let bridge: UserBridge;
  try {
    bridge = Reflect.construct(exported, [options]) as UserBridge;
  } catch (error) {
    throw invalid(`${located(file, error)}: its constructor threw: ${toMessage(error)}`, error);
  }
  if (typeof bridge.run !== 'function') throw wrongExport(file);
  return { file, bridge };
}

async function importDefault(file: string, transpiler: Transpiler): Promise<unknown> {
  try {
    const path = extname(file) === '.ts' ? await transpiler.transpile(file) : file;
    // A changed file is another module to Node; an unchanged one is not read twice.
    const url = `${pathToFileURL(path).href}?v=${hashOf(await readFile(path))}`;
    const { default: exported } = (await import(url)) as { default?: unknown };
    // A CommonJS module that was compiled from an ES one keeps its default one level further in.
    const inner = typeof exported === 'object' && exported !== null && 'default' in exported;
    return inner ? exported.default : exported;
  } catch (error) {
    throw await explain(file, error, transpiler);
  }
}

async function explain(file: string, error: unknown, transpiler: Transpiler): Promise<AppError> {
  if (AppError.is(error)) return error;
  if (isBuildFailure(error)) return invalid(join(dirname(file), toLine(error, file)), error);
  if (error instanceof SyntaxError) {
    const line = await transpiler.findSyntaxError(file);
    return invalid(line === undefined ? `${file}: ${error.message}` : join(dirname(file), line), error);
  }
  const missing = /^Cannot find package '([^']+)'/.exec(toMessage(error))?.[1];
  if (missing !== undefined) {
    const mend = `npm install --prefix ${dirname(dirname(file))} ${missing}`;
    return invalid(`${file}: cannot find the package '${missing}'; install it with: ${mend}`, error);
  }
  return invalid(`${located(file, error)}: ${toMessage(error)}`, error);
}

/** `file:line` where the stack knows it. */
function located(file: string, error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  for (const [, place = '', line = ''] of stack.matchAll(
    /(file:\/\/[^\s)]+?|\/[^\s)]+?):(\d+)(?::\d+)?\)?$/gm,
  )) {
    const path = place.startsWith('file:') ? fileURLToPath(place.replace(/\?.*$/, '')) : place;
    if (path === file) return `${file}:${line}`;
  }
  return file;
}

function notFound(channel: string, dir: string, failures: readonly string[]): AppError {
  const mend = BUILT_IN.includes(channel)
    ? 'built-in platforms are not part of this version'
    : `write ${channel}.js, .mjs or .ts there, or remove the key`;
  const tried = failures.length === 0 ? '' : ` (not readable: ${failures.join('; ')})`;
  return invalid(`channels.${channel}: no bridge module of that name in ${dir}; ${mend}${tried}`);
}

function wrongExport(file: string): AppError {
  const shape = 'a class with run(signal: AbortSignal): Promise<void>';
  return invalid(`${file}: its default export must be ${shape}`);
}

function invalid(message: string, cause?: unknown): AppError {
  return new AppError('bridge.invalid', message, { cause });
}

function nameOf(file: string): string {
  return basename(file, extname(file));
}

function hashOf(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}

/** User code may throw anything. */
export function toMessage(error: unknown): string {
  if (error instanceof Error) return error.message;
  return typeof error === 'string' ? error : `threw ${Object.prototype.toString.call(error)}`;
}
