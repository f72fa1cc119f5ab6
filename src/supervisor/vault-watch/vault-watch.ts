/**
 * Watches the vaults of all agents from the main thread: one inotify instance for all of them, where a user has 128, and
 * one place that counts. It only says where something happened; agents read their files themselves.
 */
import { readFileSync } from 'node:fs';
import type { Clock } from '../../contract/clock.ts';
import type { HostNotice, VaultWatching } from '../../contract/host-link.ts';
import { codeOf, createFolderWatches } from './folder-watches.ts';
import { type WatchedVault, watchVault } from './watched-vault.ts';

export interface VaultWatch {
  /** Begins anew where it is watched already. */
  watch(agentId: string, path: string): Promise<VaultWatching>;
  unwatch(agentId: string): void;
  /** Folders watched for all agents together. */
  count(): number;
  close(): void;
}

export interface VaultWatchOptions {
  readonly clock: Clock;
  readonly tell: (agentId: string, notice: HostNotice) => void;
  readonly onDefect: (error: unknown, where: string) => void;
  /** Folders of one vault, and of all together. */
  readonly foldersMax?: number;
  readonly watchesMax?: number;
}

const FOLDERS_MAX = 20_000;
/** Where the system does not say what it allows. */
const SYSTEM_WATCHES = 65_536;
const SYSTEM_EVENTS = 16_384;
/** What we leave to the user's other programs. */
const SHARE = 0.5;
/** Watches are there for editors, too; this is when they cannot be had. */
const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'no more folders can be watched (raise fs.inotify.max_user_watches)',
  EMFILE: 'no more files can be opened, or watchers made (raise ulimit -n, fs.inotify.max_user_instances)',
};

export function createVaultWatch(options: VaultWatchOptions): VaultWatch {
  const { clock, tell, onDefect, foldersMax = FOLDERS_MAX } = options;
  const vaults = new Map<string, WatchedVault>();
  const watches = createFolderWatches({
    watchesMax: options.watchesMax ?? Math.floor(inotifyLimit('max_user_watches', SYSTEM_WATCHES) * SHARE),
    burstMax: Math.floor(inotifyLimit('max_queued_events', SYSTEM_EVENTS) * SHARE),
    // Whose events were dropped nobody knows.
    onBurst: () => {
      for (const vault of vaults.values()) vault.missed();
    },
  });

  const unwatch = (agentId: string): void => {
    vaults.get(agentId)?.close();
    vaults.delete(agentId);
  };

  return {
    watch: async (agentId, path) => {
      unwatch(agentId);
      const vault = watchVault({
        ...{ path, watches, clock, foldersMax, onDefect },
        tell: (notice) => {
          if (vaults.get(agentId) !== vault) return;
          if (notice.type !== 'vault.unwatched') return tell(agentId, notice);
          vaults.delete(agentId);
          tell(agentId, { ...notice, reason: reasonOf(notice.reason) });
        },
      });
      vaults.set(agentId, vault);
      try {
        return { watching: true, folders: await vault.start() };
      } catch (error) {
        if (vaults.get(agentId) === vault) vaults.delete(agentId);
        const code = codeOf(error);
        if (code === String(error)) throw error;
        return { watching: false, reason: reasonOf(code) };
      }
    },
    unwatch,
    count: watches.count,
    close: () => {
      for (const agentId of [...vaults.keys()]) unwatch(agentId);
    },
  };
}

/** `ENOENT` stays what it is: there is nothing to watch yet. */
function reasonOf(code: string): string {
  return REASONS[code] ?? code;
}

function inotifyLimit(name: string, byDefault: number): number {
  if (process.platform !== 'linux') return byDefault;
  try {
    const limit = Number.parseInt(readFileSync(`/proc/sys/fs/inotify/${name}`, 'utf8'), 10);
    return limit > 0 ? limit : byDefault;
  } catch {
    // A container may hide it.
    return byDefault;
  }
}
