/**
 * What a changed `openagent.yaml` leads to: the newest valid one is applied while the agent runs where that is possible,
 * else that agent alone is restarted, once for all edits of a moment; an invalid one changes nothing and is shown with its
 * line. What we wrote ourselves was answered when it was written: nothing is done a second time behind a client's back.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import PQueue from 'p-queue';
import type { Clock, TimerHandle } from '../../contract/clock.ts';
import type { ConfigApplied } from '../../contract/config-answers.ts';
import { AppError, type WireError } from '../../contract/errors.ts';
import { isStartFailure } from '../child-spec.ts';
import type { PrepareAgent } from '../config/load-agent.ts';
import { readConfigBytes } from '../config/read-config.ts';
import type { ConfigApplier } from '../config-store/apply-config.ts';
import { etagOf } from '../config-store/config-file.ts';
import type { AgentStatus, ConfigOutcome, Fleet, PreparedAgent } from '../fleet.ts';
import { difference } from './config-parts.ts';
import { invalidConfig } from './invalid-config.ts';
import type { KnownConfigs } from './known-configs.ts';
import { type PathWatch, signOf } from './path-watch.ts';

export interface ConfigReloadOptions {
  readonly clock: Clock;
  readonly fleet: Pick<Fleet, 'agents' | 'command' | 'configChanged'>;
  readonly known: KnownConfigs;
  readonly applier: Pick<ConfigApplier, 'running' | 'applyLive'>;
  readonly paths: Pick<PathWatch, 'add' | 'remove' | 'againIn'>;
  readonly prepare: PrepareAgent;
  readonly warn: (warning: WireError, id: string) => void;
  readonly onDefect: (error: unknown, where: string) => void;
  /** Whether an agent whose directory is gone will be removed by somebody else. */
  readonly leaves: (file: string) => Promise<boolean>;
  readonly quietMs: number;
  /** How long what looks unfinished is waited for. */
  readonly doubtMs: number;
  /** Restarts of one agent are at least that far apart. */
  readonly spacingMs: number;
}

export interface ConfigReload {
  watch(agent: { readonly id: string; readonly dir: string; readonly file: string }): void;
  unwatch(id: string): void;
  /** The file of this path has changed and is left alone. False when it is no agent's. */
  changed(path: string, sign: string): boolean;
  /** What waits for an agent to run is looked at when it does. */
  agentChanged(status: AgentStatus): void;
  /** Nothing is being read. */
  idle(): Promise<void>;
  close(): void;
}

interface Watched {
  readonly id: string;
  readonly dir: string;
  readonly file: string;
  /** Of the content that was last decided about. */
  etag: string | undefined;
  /** Of a content that looked unfinished. */
  doubted: string | undefined;
  /** A restart is wanted for what is known. */
  isPending: boolean;
  restartedAtMs: number;
  timer: TimerHandle | undefined;
}

type Found =
  | { readonly etag: string; readonly text: string; readonly problem: undefined }
  | { readonly etag: string; readonly text: undefined; readonly problem: AppError };

export function createConfigReload(options: ConfigReloadOptions): ConfigReload {
  return new Reload(options);
}

class Reload implements ConfigReload {
  readonly #on: ConfigReloadOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #byFile = new Map<string, Watched>();
  /** One after another: fifty files of one `git checkout` must not hold up the main thread. */
  readonly #queue = new PQueue({ concurrency: 1 });

  constructor(options: ConfigReloadOptions) {
    this.#on = options;
  }

  watch({ id, dir, file }: { readonly id: string; readonly dir: string; readonly file: string }): void {
    this.unwatch(id);
    const etag = this.#on.known.get(id)?.etag;
    const watched: Watched = {
      ...{ id, dir, file, etag },
      doubted: undefined,
      isPending: false,
      restartedAtMs: Number.NEGATIVE_INFINITY,
      timer: undefined,
    };
    this.#watched.set(id, watched);
    this.#byFile.set(file, watched);
    this.#on.paths.add(file);
  }

  unwatch(id: string): void {
    const watched = this.#watched.get(id);
    if (watched === undefined) return;
    this.#watched.delete(id);
    this.#byFile.delete(watched.file);
    this.#on.paths.remove(watched.file);
    if (watched.timer !== undefined) this.#on.clock.clearTimeout(watched.timer);
  }

  changed(path: string, sign: string): boolean {
    const watched = this.#byFile.get(path);
    if (watched === undefined) return false;
    const look = async (): Promise<void> => {
      // What waits on the main thread has its turn between two files.
      await nextTurn();
      await this.#look(watched, sign);
    };
    this.#queue.add(look).catch((error: unknown) => this.#on.onDefect(error, `reading ${path}`));
    return true;
  }

  agentChanged({ id, state }: AgentStatus): void {
    const watched = this.#watched.get(id);
    if (state === 'running' && watched?.isPending) this.#bring(watched);
  }

  async idle(): Promise<void> {
    await this.#queue.onIdle();
  }

  close(): void {
    this.#queue.clear();
    for (const id of [...this.#watched.keys()]) this.unwatch(id);
  }

  async #look(watched: Watched, sign: string): Promise<void> {
    const found = await readFound(watched.file);
    if ((await signOf(watched.file)) !== sign) {
      // Somebody is at it again: what was read may be half of something.
      this.#on.paths.againIn(watched.file, this.#on.quietMs);
      return;
    }
    if (this.#watched.get(watched.id) !== watched || found.etag === watched.etag) return;
    if (found.problem !== undefined && (await this.#on.leaves(watched.file))) return;
    const result = this.#evaluate(watched, found);
    if (watched.doubted !== found.etag && this.#isDoubtful(watched, found, result)) {
      watched.doubted = found.etag;
      this.#on.paths.againIn(watched.file, this.#on.doubtMs);
      return;
    }
    const own = this.#on.known.ownWrite(watched.id, found.etag);
    if (own !== undefined && own.applied === undefined) {
      this.#on.paths.againIn(watched.file, this.#on.doubtMs);
      return;
    }
    watched.etag = found.etag;
    watched.doubted = undefined;
    this.#on.known.seen(watched.id, found.etag);
    if ('problem' in result) {
      this.#on.fleet.configChanged(watched.id, invalidConfig(result.problem));
      return;
    }
    // Whoever wrote it through us was told.
    if (own === undefined) for (const warning of result.warnings) this.#on.warn(warning, watched.id);
    this.#accept(watched, found, result.prepared, own?.applied);
  }

  #evaluate({ id, dir, file }: Watched, { text, problem }: Found) {
    if (problem !== undefined) return { problem };
    try {
      return this.#on.prepare({ id, dir }, file, text);
    } catch (error) {
      if (!AppError.is(error)) throw error;
      return { problem: error };
    }
  }

  /** Somebody may be in the middle of writing it: invalid, gone, empty, or cut off. */
  #isDoubtful({ id }: Watched, { text }: Found, result: object): boolean {
    if ('problem' in result || text === undefined || text.trim() === '') return true;
    const newest = this.#on.known.get(id)?.text;
    return newest !== undefined && newest.length > text.length && newest.startsWith(text);
  }

  /** `applied`: what was done about it when we wrote it; undefined where somebody else did. */
  #accept(watched: Watched, found: Found, prepared: PreparedAgent, applied: ConfigApplied | undefined): void {
    const { id, file } = watched;
    const { known } = this.#on;
    const before = known.get(id)?.prepared;
    known.set({ prepared, etag: found.etag, text: found.text ?? '', file });
    const status = this.#statusOf(id);
    if (status === undefined) return;
    const changes = before === undefined ? [] : difference(before, prepared).sections;
    if (applied !== undefined) this.#tellOwn(status, prepared, changes, applied);
    else if (changes.length > 0) this.#bring(watched, changes);
    else if (status.config.state === 'invalid') this.#tell(id, 'nothing', []);
  }

  /** It was answered already; what is shown is what was answered. */
  #tellOwn(
    { id, state, config }: AgentStatus,
    prepared: PreparedAgent,
    sections: readonly string[],
    applied: ConfigApplied,
  ): void {
    if (sections.length === 0) {
      if (config.state === 'invalid') this.#tell(id, 'nothing', []);
      return;
    }
    const running = this.#on.applier.running(id);
    const isDone = running !== undefined && difference(running, prepared).sections.length === 0;
    if (applied !== 'restart') this.#tell(id, applied, sections);
    else if (isDone) this.#tell(id, 'nothing', sections);
    else this.#tell(id, state === 'running' || state === 'stopping' ? 'restart' : 'next start', sections);
  }

  /** Brings what is known to the agent; `changes`: there is news to tell. */
  #bring(watched: Watched, changes?: readonly string[]): void {
    const { id } = watched;
    const status = this.#statusOf(id);
    const wanted = this.#on.known.get(id)?.prepared;
    if (status === undefined || wanted === undefined) return;
    const running = this.#on.applier.running(id);
    const missing = running === undefined ? undefined : difference(running, wanted);
    const how = this.#howTo(status, missing?.sections.length, missing?.needsRestart ?? true);
    watched.isPending = how === 'restart';
    if (changes !== undefined) this.#tell(id, how, changes);
    if (how === 'live') this.#on.applier.applyLive(wanted);
    if (how !== 'restart') return;
    if (status.state === 'quarantined') {
      watched.isPending = false;
      this.#on.fleet.command(id, 'release');
    } else this.#restart(watched);
  }

  #howTo(
    { state, reason }: AgentStatus,
    missing: number | undefined,
    needsRestart: boolean,
  ): 'live' | 'restart' | 'next start' | 'nothing' {
    if (state === 'quarantined') return isStartFailure(reason?.code) ? 'restart' : 'next start';
    if (state === 'stopped' || state === 'wedged') return 'next start';
    if (missing === 0) return 'nothing';
    return needsRestart ? 'restart' : 'live';
  }

  /** Not before the last one is some time ago; in any other state than this it will read the file anyway. */
  #restart(watched: Watched): void {
    const { clock, fleet, spacingMs } = this.#on;
    if (this.#statusOf(watched.id)?.state !== 'running' || watched.timer !== undefined) return;
    const waitMs = watched.restartedAtMs + spacingMs - clock.monotonicMs();
    if (waitMs > 0) {
      watched.timer = clock.setTimeout(() => {
        watched.timer = undefined;
        if (watched.isPending) this.#bring(watched);
      }, waitMs);
      return;
    }
    watched.isPending = false;
    watched.restartedAtMs = clock.monotonicMs();
    fleet.command(watched.id, 'restart');
  }

  #tell(
    id: string,
    how: Extract<ConfigOutcome, { type: 'config.applied' }>['how'],
    sections: readonly string[],
  ): void {
    this.#on.fleet.configChanged(id, { type: 'config.applied', how, sections });
  }

  #statusOf(id: string): AgentStatus | undefined {
    return this.#on.fleet.agents().find((agent) => agent.id === id);
  }
}

async function readFound(file: string): Promise<Found> {
  try {
    const bytes = await readConfigBytes(file);
    return { etag: etagOf(bytes), text: bytes.toString('utf8'), problem: undefined };
  } catch (error) {
    if (!AppError.is(error)) throw error;
    return { etag: error.message, text: undefined, problem: error };
  }
}
