/**
 * The only writer of `openagent.yaml`: reads it masked, and writes what clients send after the checks that a start makes,
 * one write of an agent at a time. A change by somebody else between our reading and our writing is seen, never undone.
 */
import type { Clock } from '../../contract/clock.ts';
import type {
  ConfigApplied,
  ConfigChange,
  ConfigDocument,
  ConfigVersionInfo,
} from '../../contract/config-answers.ts';
import { AppError, type WireError } from '../../contract/errors.ts';
import { ifMatchHolds } from '../../contract/etag.ts';
import type { ModelSettings } from '../../contract/model-settings.ts';
import { DEFAULT_SPEC } from '../child-spec.ts';
import { parseRawConfig } from '../config/parse-config.ts';
import { CONFIG_NAME } from '../config/read-config.ts';
import type { PreparedAgent } from '../fleet.ts';
import type { AskingAgent } from '../host-questions.ts';
import { checkWritten, refusal } from './check-written.ts';
import {
  type ConfigFile,
  EDIT_BYTES_MAX,
  readConfigFile,
  toConfigFile,
  tooLarge,
  writeConfigFile,
} from './config-file.ts';
import { editText } from './edit-document.ts';
import { isRecord, type Json, masked, unmasked } from './mask.ts';
import { newProblem, type Prepare } from './old-problems.ts';
import { dropVersions, keepVersion, listVersions, readVersion } from './versions.ts';

/** Times a write is begun again because somebody else changed the file meanwhile. */
const ATTEMPTS = 3;

export interface ConfigStoreOptions {
  readonly clock: Clock;
  /**
   * What a start would make of this text; `file` is how messages call it, `env` are variables beside those of the host.
   * Throws what would refuse the agent.
   */
  prepare(
    agent: AskingAgent,
    file: string,
    text: string,
    env?: Readonly<Record<string, string>>,
  ): { readonly prepared: PreparedAgent; readonly warnings: readonly WireError[] };
  /** Told before a file is written that will be applied, with what it will be. */
  writing?(id: string, etag: string): void;
  /** Told after each change of a file: brings it to the agent that runs. */
  apply(
    prepared: PreparedAgent,
    section: string | undefined,
    etag: string,
  ): {
    readonly applied: ConfigApplied;
    readonly restartRequired: boolean;
  };
}

export interface ConfigStore {
  read(agent: AskingAgent): Promise<ConfigDocument>;
  /** `ifMatch` is the header, '' for none. */
  replace(agent: AskingAgent, value: unknown, ifMatch: string): Promise<ConfigChange>;
  patch(agent: AskingAgent, section: string, value: unknown, ifMatch: string): Promise<ConfigChange>;
  versions(agent: AskingAgent): Promise<readonly ConfigVersionInfo[]>;
  version(agent: AskingAgent, id: string): Promise<ConfigDocument>;
  restore(agent: AskingAgent, id: string, ifMatch: string): Promise<ConfigChange>;
  /** What a start would call now, for the agent itself and not for clients: its keys are in it. */
  model(agent: AskingAgent): Promise<ModelSettings>;
}

/** The text that `current` becomes. */
type Change = (current: ConfigFile) => Promise<string>;

export function createConfigStore(options: ConfigStoreOptions): ConfigStore {
  const inTurn = createTurns();
  const cached = createCache();

  const write = async (
    agent: AskingAgent,
    ifMatch: string,
    section: string | undefined,
    change: Change,
  ): Promise<ConfigChange> => {
    const { file, checked, changed } = await inTurn(agent.dir, () =>
      writeOnce(options, agent, ifMatch, section, change),
    );
    const value = masked(sectionOf(cached.dataOf(agent.dir, file), section), section);
    const written = { value, etag: file.etag, changed };
    if ('refusedBy' in checked) return { ...written, ...toBeMended(checked.refusedBy, changed) };
    const { applied, restartRequired } = options.apply(checked.prepared, section, file.etag);
    return { ...written, applied, restartRequired, warnings: texts(checked.warnings, section) };
  };

  return {
    read: async (agent) => {
      const file = await readConfigFile(agent.dir);
      return { value: cached.maskedOf(agent.dir, file), etag: file.etag };
    },
    replace: (agent, value, ifMatch) =>
      write(agent, ifMatch, undefined, (current) => replacedText(current, value)),
    patch: (agent, section, value, ifMatch) =>
      write(agent, ifMatch, section, (current) => patchedText(current, section, value)),
    versions: ({ dir }) => listVersions(dir),
    version: async ({ dir }, id) => {
      const file = toConfigFile(await readVersion(dir, id), true);
      return { value: masked(parseRawConfig(`${id}.yaml`, file.text).data), etag: file.etag };
    },
    model: async (agent) => {
      const { text } = await readConfigFile(agent.dir);
      return options.prepare(agent, CONFIG_NAME, text).prepared.settings.model;
    },
    restore: (agent, id, ifMatch) =>
      write(agent, ifMatch, undefined, async () => toConfigFile(await readVersion(agent.dir, id), true).text),
  };
}

async function writeOnce(
  { clock, prepare, writing }: ConfigStoreOptions,
  agent: AskingAgent,
  ifMatch: string,
  section: string | undefined,
  change: Change,
) {
  const prepareText: Prepare<Prepared> = (text, env) => prepare(agent, CONFIG_NAME, text, env);
  for (let attempt = 1; ; attempt += 1) {
    const current = await readConfigFile(agent.dir);
    if (!ifMatchHolds(ifMatch, current.etag))
      throw conflict(current, 'is not the version that If-Match names');
    const text = await change(current);
    const file = toConfigFile(Buffer.from(text), true);
    await pause();
    const checked = check(prepareText, section === undefined ? undefined : current.text, text);
    const changed = text !== current.text;
    if (!changed) return { file: current, checked, changed };
    const { configVersions: keep } = 'prepared' in checked ? checked.prepared.spec : DEFAULT_SPEC;
    if (current.exists && keep > 0) await keepVersion(agent.dir, current.bytes, clock.wallMs());
    const now = await readConfigFile(agent.dir);
    if (now.etag !== current.etag || now.exists !== current.exists) {
      if (attempt < ATTEMPTS && ifMatch === '') continue;
      throw conflict(now, 'was changed by somebody else in the same moment');
    }
    if ('prepared' in checked) writing?.(agent.id, file.etag);
    await writeConfigFile(agent.dir, text);
    await dropVersions(agent.dir, keep);
    return { file, checked, changed };
  }
}

type Prepared = ReturnType<ConfigStoreOptions['prepare']>;
/** Or why a start would be refused, as it would have been before. */
type Checked = Prepared | { readonly refusedBy: AppError };

/** `before`: of a change of one section, which answers for what it brings and for nothing else. */
function check(prepare: Prepare<Prepared>, before: string | undefined, after: string): Checked {
  try {
    return prepare(after);
  } catch (error) {
    if (before === undefined || !AppError.is(error)) throw error;
    const fresh = newProblem(prepare, before, after);
    if (fresh !== undefined) throw fresh;
    return { refusedBy: error };
  }
}

function toBeMended({ message }: AppError, changed: boolean) {
  const warnings = [`The agent runs with what it has, and takes this up when the rest is mended: ${message}`];
  return {
    applied: changed ? ('next start' as const) : ('nothing' as const),
    restartRequired: changed,
    warnings,
  };
}

function conflict({ etag }: ConfigFile, why: string): AppError {
  const message = `${CONFIG_NAME} ${why}: read it again and put the change into that`;
  return new AppError('config.conflict', message, { details: { etag } });
}

/** Of a file that cannot be parsed nothing can be kept, so that it can be mended this way. */
async function replacedText(current: ConfigFile, value: unknown): Promise<string> {
  if (!isRecord(value)) throw notMapping('body', value);
  let source = current.text;
  let before: unknown = {};
  try {
    before = parseRawConfig(CONFIG_NAME, current.text).data;
  } catch (error) {
    if (!AppError.is(error)) throw error;
    source = '';
  }
  const { value: after, strays } = unmasked(value, before);
  return editedText(source, before, after as Json, strays);
}

async function patchedText(current: ConfigFile, section: string, value: unknown): Promise<string> {
  const { data: before } = parseRawConfig(CONFIG_NAME, current.text);
  if (!isRecord(before)) throw notMapping(CONFIG_NAME, before);
  const { value: after, strays } = unmasked(value, sectionOf(before, section), section);
  const others = Object.entries(before).filter(([key]) => key !== section);
  const whole = Object.hasOwn(before, section)
    ? Object.entries(before).map(([key, was]) => [key, key === section ? after : was] as const)
    : [...others, [section, after] as const];
  return editedText(current.text, before, Object.fromEntries(whole), strays);
}

async function editedText(
  source: string,
  before: unknown,
  after: Json,
  strays: Parameters<typeof refusal>[0],
): Promise<string> {
  const problems = [...strays, ...checkWritten(after, before)];
  if (problems.length > 0) throw refusal(problems);
  // As YAML it can only be about as large; editing it would take as long as it is large.
  if (JSON.stringify(after).length > EDIT_BYTES_MAX) throw tooLarge();
  const text = await editText(CONFIG_NAME, source, after, pause);
  if (text !== undefined) return text;
  throw refusal([{ key: '', expected: 'a document that can be edited', text: UNEDITABLE }]);
}

const UNEDITABLE = 'this change cannot be made without losing something else; edit the file itself';

function notMapping(what: string, value: unknown): AppError {
  const got = Array.isArray(value) ? 'a list' : value === null ? 'nothing' : `a ${typeof value}`;
  const text = `expected a mapping of sections, got ${got}`;
  return refusal([{ key: what === 'body' ? 'the document' : what, expected: 'a mapping', text }]);
}

function sectionOf(data: unknown, section: string | undefined): unknown {
  if (section === undefined) return data;
  return isRecord(data) && Object.hasOwn(data, section) ? data[section] : undefined;
}

/** Of what was written; what is odd elsewhere in the file is not this client's. */
function texts(warnings: readonly WireError[], section: string | undefined): readonly string[] {
  return warnings
    .filter(({ details }) => {
      if (section === undefined || !Array.isArray(details)) return true;
      const { key } = (details[0] ?? {}) as { key?: unknown };
      return key === section || String(key).startsWith(`${section}.`);
    })
    .map(({ message }) => message);
}

/** Lets what waits on the main thread have its turn between two expensive steps. */
function pause(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** One after the other for each directory. */
function createTurns() {
  const last = new Map<string, Promise<unknown>>();
  return async <T>(dir: string, work: () => Promise<T>): Promise<T> => {
    const before = last.get(dir) ?? Promise.resolve();
    const mine = before.then(work, work);
    last.set(dir, mine);
    try {
      return await mine;
    } finally {
      if (last.get(dir) === mine) last.delete(dir);
    }
  };
}

interface Entry {
  readonly etag: string;
  readonly data: unknown;
  masked?: unknown;
}

/** A file is parsed once for each content: clients ask often, and parsing is the main thread's time. */
function createCache() {
  const entries = new Map<string, Entry>();
  const entryOf = (dir: string, file: ConfigFile): Entry => {
    const known = entries.get(dir);
    if (known?.etag === file.etag) return known;
    const entry: Entry = { etag: file.etag, data: parseRawConfig(CONFIG_NAME, file.text).data };
    entries.set(dir, entry);
    return entry;
  };
  return {
    dataOf: (dir: string, file: ConfigFile) => entryOf(dir, file).data,
    maskedOf: (dir: string, file: ConfigFile) => {
      const entry = entryOf(dir, file);
      entry.masked ??= masked(entry.data);
      return entry.masked;
    },
  };
}
