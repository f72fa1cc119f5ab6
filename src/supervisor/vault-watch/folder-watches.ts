/**
 * Watches folders, one system watch each, and never a file: the names of what changed in a folder come with its events.
 * Keeps count, because a user has a bounded number of such watches and of descriptors; beyond the bound nothing is
 * watched half.
 */
import { type FSWatcher, watch } from 'node:fs';

export interface FolderWatch {
  close(): void;
}

/** `name` is absent where the system does not say it; `isMoved`: it came, went, or was replaced. */
export type OnFolderEvent = (name: string | undefined, isMoved: boolean) => void;

export interface FolderWatches {
  /** Throws what the system throws (ENOSPC, EMFILE, ENOENT), and ENOSPC beyond our own bound. */
  open(path: string, onEvent: OnFolderEvent, onLost: (reason: string) => void): FolderWatch;
  count(): number;
}

export interface FolderWatchesOptions {
  /** Watches of all vaults together. */
  readonly watchesMax: number;
  /** So many events in one go that the system may have dropped others. */
  readonly burstMax: number;
  readonly onBurst: () => void;
}

export function createFolderWatches({ watchesMax, burstMax, onBurst }: FolderWatchesOptions): FolderWatches {
  let open = 0;
  let burst = 0;

  /**
   * The system's queue is emptied in one go, before anything else of this thread runs, and what did not fit into it is
   * lost without a word. So only as many events as it holds can hide a loss.
   */
  const noteEvent = (): void => {
    if (burst === 0) {
      setImmediate(() => {
        if (burst >= burstMax) onBurst();
        burst = 0;
      });
    }
    burst += 1;
  };

  return {
    open: (path, onEvent, onLost) => {
      if (open >= watchesMax) {
        throw Object.assign(new Error(`More than ${watchesMax} folders are watched`), { code: 'ENOSPC' });
      }
      const watcher: FSWatcher = watch(path, { persistent: false });
      open += 1;
      let isOpen = true;
      const close = (): void => {
        if (!isOpen) return;
        isOpen = false;
        open -= 1;
        watcher.close();
      };
      watcher.on('change', (event, name) => {
        noteEvent();
        onEvent(typeof name === 'string' ? name : undefined, event === 'rename');
      });
      watcher.on('error', (error) => {
        close();
        onLost(codeOf(error));
      });
      return { close };
    },
    count: () => open,
  };
}

export function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : String(error);
}
