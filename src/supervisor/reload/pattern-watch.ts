/**
 * Keeps a running fleet what the patterns of the command line say: a directory that comes is started once it has an
 * `openagent.yaml` and is left alone, one that goes is stopped and forgotten. Directories that were refused are tried
 * again when somebody mends them; one whose agent was removed by command stays away until it comes anew.
 */
import { dirname, join, resolve } from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { type Expansion, expandPattern, lookAt, type MatchedDirectory } from '../agent-patterns.ts';
import { CONFIG_NAME } from '../config/read-config.ts';
import type { AgentStatus } from '../fleet.ts';
import type { Run } from '../run-agents.ts';
import type { PathWatch } from './path-watch.ts';

export interface PatternWatchOptions {
  readonly patterns: readonly string[];
  readonly cwd: string;
  readonly run: Pick<Run, 'agents' | 'add' | 'remove' | 'dismiss'>;
  readonly paths: Pick<PathWatch, 'add' | 'remove' | 'againIn'>;
  /** One that is gone for longer than this is gone: `git checkout` may bring it back at once. */
  readonly goneMs: number;
  readonly onDefect: (error: unknown, where: string) => void;
}

export interface PatternWatch {
  start(): Promise<void>;
  /** False when this path is of no concern here. */
  changed(path: string): boolean;
  /** Whether this is the file of an agent that came by a pattern and whose directory is gone. */
  leaves(file: string): Promise<boolean>;
  /** By whoever; `realDir` stays away while its directory does not change. */
  removed(realDir: string): void;
  idle(): Promise<void>;
  close(): void;
}

/** Refused for what another agent has, which it may have no longer when that one is removed. */
const BY_ANOTHER: readonly (string | undefined)[] = [
  'directory.locked',
  'directory.duplicate',
  'agent.id_duplicate',
];

export function createPatternWatch(options: PatternWatchOptions): PatternWatch {
  return new Patterns(options);
}

interface Known extends MatchedDirectory {
  /** `away`: nothing of it is supervised by wish of somebody. */
  readonly state: 'present' | 'refused' | 'away';
}

class Patterns implements PatternWatch {
  readonly #on: PatternWatchOptions;
  /** By directory as it matched. */
  readonly #known = new Map<string, Known>();
  #folders: ReadonlySet<string> = new Set();
  /** Given without a pattern, and refused for what its configuration says. */
  readonly #explicit = new Set<string>();
  /** Configurations that are waited for, or for their mending. */
  readonly #awaited = new Set<string>();
  /** Those of them that were left alone for a moment. */
  readonly #settled = new Set<string>();
  /** Directories that were missing at the last look, and whether that was long ago. */
  readonly #missing = new Set<string>();
  readonly #removing = new Set<string>();
  #work: Promise<void> = Promise.resolve();
  /** A look that has not begun sees whatever has changed until then. */
  #isDue = false;
  #isClosed = false;

  constructor(options: PatternWatchOptions) {
    this.#on = options;
  }

  async start(): Promise<void> {
    await this.#enqueue(async (matches) => {
      const matched = new Set(matches.map(({ dir }) => dir));
      for (const { dir, state, reason } of this.#on.run.agents()) {
        const isMendable = state === 'refused' && /^(config|bind)\./.test(reason?.code ?? '');
        if (isMendable && !matched.has(dir)) this.#explicit.add(dir);
      }
      for (const match of [...matches, ...(await this.#lookAtExplicit())]) {
        const status = this.#statusOf(match);
        if (status !== undefined) this.#know(match, status.state === 'refused' ? 'refused' : 'present');
      }
    });
    await this.#enqueue();
  }

  changed(path: string): boolean {
    if (!this.#folders.has(path) && !this.#awaited.has(path)) return false;
    const refused = [...this.#known.values()].find(
      ({ dir, state }) => state === 'refused' && configOf(dir) === path,
    );
    // What it says may be right now.
    if (refused) this.#known.delete(refused.dir);
    if (this.#awaited.has(path)) this.#settled.add(path);
    // Two hundred files that come together are one look, not two hundred.
    if (!this.#isDue) void this.#enqueue();
    this.#isDue = true;
    return true;
  }

  async leaves(file: string): Promise<boolean> {
    const dir = dirname(file);
    return this.#known.has(dir) && (await lookAt(dir)) === undefined;
  }

  removed(realDir: string): void {
    for (const { dir, reason } of this.#on.run.agents()) {
      if (BY_ANOTHER.includes(reason?.code) && this.#known.get(dir)?.state === 'refused') {
        this.#on.paths.againIn(configOf(dir), 0);
      }
    }
    if (this.#removing.has(realDir)) return;
    for (const known of this.#known.values()) if (known.real === realDir) this.#know(known, 'away');
  }

  idle(): Promise<void> {
    return this.#work;
  }

  close(): void {
    this.#isClosed = true;
  }

  /** One look after another, each at what is there then. */
  #enqueue(first?: (matches: readonly MatchedDirectory[]) => Promise<void>): Promise<void> {
    const { patterns, cwd, onDefect } = this.#on;
    this.#work = this.#work.then(async () => {
      this.#isDue = false;
      if (this.#isClosed) return;
      try {
        const expansions = await Promise.all(patterns.map((pattern) => expandPattern(pattern, cwd)));
        this.#watchFolders(new Set(expansions.flatMap(({ looked }) => looked)));
        this.#dismissMatched(expansions);
        const matches = expansions.flatMap((expansion) => expansion.matches);
        if (first) await first(matches);
        else await this.#reconcile([...matches, ...(await this.#lookAtExplicit())]);
      } catch (error) {
        onDefect(error, 'patterns of the command line');
      }
    });
    return this.#work;
  }

  /** A pattern without a match is listed as refused, as it was typed, until there is one. */
  #dismissMatched(expansions: readonly Expansion[]): void {
    const { patterns, cwd, run } = this.#on;
    for (const [at, { matches }] of expansions.entries()) {
      if (matches.some(({ hasConfig }) => hasConfig)) run.dismiss(resolve(cwd, patterns[at] ?? ''));
    }
  }

  async #lookAtExplicit(): Promise<readonly MatchedDirectory[]> {
    const found = await Promise.all([...this.#explicit].map(lookAt));
    return found.filter((match) => match !== undefined);
  }

  #watchFolders(folders: ReadonlySet<string>): void {
    for (const folder of folders) if (!this.#folders.has(folder)) this.#on.paths.add(folder);
    for (const folder of this.#folders) if (!folders.has(folder)) this.#on.paths.remove(folder);
    this.#folders = folders;
  }

  async #reconcile(matches: readonly MatchedDirectory[]): Promise<void> {
    const byDir = new Map(matches.map((match) => [match.dir, match]));
    const leaving = [...this.#known.values()].filter((known) => {
      const isThere = byDir.get(known.dir)?.inode === known.inode;
      if (isThere) this.#missing.delete(known.dir);
      return !isThere;
    });
    await Promise.all(leaving.map((known) => this.#leave(known, byDir.has(known.dir))));
    for (const file of this.#awaited) {
      const dir = dirname(file);
      if (!byDir.has(dir) && !this.#known.has(dir)) this.#await(file, false);
    }
    for (const match of byDir.values()) {
      if (this.#known.has(match.dir) || this.#isClosed) continue;
      const file = configOf(match.dir);
      const isSettled = this.#settled.delete(file);
      if (match.hasConfig && isSettled) await this.#enter(match);
      else this.#await(file, true);
    }
  }

  async #enter(match: MatchedDirectory): Promise<void> {
    // It may have been added by command.
    if (this.#statusOf(match)?.state === 'refused') this.#on.run.dismiss(match.dir);
    else if (this.#statusOf(match) !== undefined) return this.#know(match, 'present');
    // From here on it is watched as that of an agent, or again as that of a refused one.
    this.#await(configOf(match.dir), false);
    try {
      await this.#on.run.add(match.dir, { isListed: true });
      if (!this.#explicit.delete(match.dir)) this.#know(match, 'present');
    } catch (error) {
      if (!AppError.is(error)) this.#on.onDefect(error, match.dir);
      this.#know(match, 'refused');
    }
  }

  /** `isReplaced`: another directory has taken its name, so there is nothing to wait for. */
  async #leave(known: Known, isReplaced: boolean): Promise<void> {
    const { run, paths, goneMs, onDefect } = this.#on;
    if (!isReplaced && !this.#missing.has(known.dir)) {
      this.#missing.add(known.dir);
      for (const folder of this.#folders) paths.againIn(folder, goneMs);
      return;
    }
    this.#missing.delete(known.dir);
    this.#known.delete(known.dir);
    this.#explicit.delete(known.dir);
    this.#await(configOf(known.dir), false);
    const status = this.#statusOf(known);
    if (status?.state === 'refused') run.dismiss(known.dir);
    else if (status !== undefined) {
      this.#removing.add(known.real);
      try {
        await run.remove(status.id);
      } catch (error) {
        // It stays listed, wedged, and the report says so.
        if (!AppError.is(error)) onDefect(error, known.dir);
      } finally {
        this.#removing.delete(known.real);
      }
    }
  }

  #know(match: MatchedDirectory, state: Known['state']): void {
    this.#known.set(match.dir, { ...match, state });
    if (state === 'refused') this.#await(configOf(match.dir), true);
  }

  #await(file: string, isWanted: boolean): void {
    if (isWanted === this.#awaited.has(file)) return;
    if (isWanted) this.#awaited.add(file);
    else this.#awaited.delete(file);
    this.#settled.delete(file);
    if (isWanted) this.#on.paths.add(file);
    else this.#on.paths.remove(file);
  }

  #statusOf({ dir, real }: MatchedDirectory): AgentStatus | undefined {
    const agents = this.#on.run.agents();
    return (
      agents.find((status) => status.state !== 'refused' && status.dir === real) ??
      agents.find((status) => status.state === 'refused' && status.dir === dir)
    );
  }
}

function configOf(dir: string): string {
  return join(dir, CONFIG_NAME);
}
