/** Hot reload as the host sees it: nothing of it is loaded before the fleet has settled, or where it is not wanted. */
import type { FleetReload, FleetReloadOptions } from './fleet-reload.ts';

export interface LateReload {
  start(options: FleetReloadOptions): void;
  close(): Promise<void>;
}

export function createLateReload(isWanted: boolean): LateReload {
  let started: Promise<FleetReload> | undefined;
  return {
    start: (options) => {
      if (!isWanted || started) return;
      started = import('./fleet-reload.ts').then(({ startReload }) => startReload(options));
      started.catch((error: unknown) => options.onDefect(error, 'hot reload'));
    },
    close: async () => {
      // One that could not be started was told of, and has nothing to close.
      const reload = await started?.catch(() => undefined);
      await reload?.close();
    },
  };
}
