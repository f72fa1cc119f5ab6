/**
 * Figures of the host process itself, for `/metrics`. What takes a look at every descriptor is read in the background,
 * and not with every text.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { MetricsOptions } from './metrics.ts';

export interface HostFigures extends Pick<MetricsOptions, 'version' | 'startedAtMs' | 'deaths'> {
  readonly cpuSeconds: number;
  readonly busyMs: number;
  /** Of timers of the main thread since the last reading. */
  readonly lag: { readonly meanMs: number; readonly p99Ms: number; readonly maxMs: number } | undefined;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly watches: OpenWatches | undefined;
  readonly vaultFolders: number;
  readonly gatewayClients: number;
}

export interface OpenWatches {
  readonly descriptors: number;
  readonly instances: number;
  readonly watches: number;
}

export interface HostReader {
  read(): Promise<HostFigures>;
  stop(): void;
}

/** Between two looks of the delay monitor: at 20 ms it alone would take 0.3 % of a core. */
const RESOLUTION_MS = 100;
/** For how long what was read of all descriptors is good. */
const WATCHES_KEPT_MS = 60_000;
const NS_PER_MS = 1_000_000;

export function createHostReader(options: MetricsOptions): HostReader {
  const { clock, version, startedAtMs, deaths, vaultFolders, gatewayClients } = options;
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  let watches: Promise<OpenWatches | undefined> | undefined;
  let watchesUntilMs = 0;

  const openWatches = (): Promise<OpenWatches | undefined> => {
    if (watches && clock.monotonicMs() < watchesUntilMs) return watches;
    const before = watches;
    watchesUntilMs = clock.monotonicMs() + WATCHES_KEPT_MS;
    watches = readOpenWatches();
    // Only the first one waits for it.
    return before ?? watches;
  };

  return {
    read: async () => {
      const found = await openWatches();
      const { user, system } = process.cpuUsage();
      const { rss, heapUsed, external } = process.memoryUsage();
      return {
        ...{ version, startedAtMs, deaths, lag: takeLag(delay) },
        cpuSeconds: (user + system) / 1_000_000,
        busyMs: performance.eventLoopUtilization().active,
        ...{ residentBytes: rss, heapBytes: heapUsed, externalBytes: external },
        ...{ watches: found, vaultFolders: vaultFolders(), gatewayClients: gatewayClients() },
      };
    },
    stop: () => void delay.disable(),
  };
}

/** The monitor tells the time between two looks, which is never less than what was asked for. */
function takeLag(delay: ReturnType<typeof monitorEventLoopDelay>): HostFigures['lag'] {
  if (delay.count === 0) return undefined;
  const late = (ns: number): number => Math.max(0, ns / NS_PER_MS - RESOLUTION_MS);
  const lag = { meanMs: late(delay.mean), p99Ms: late(delay.percentile(99)), maxMs: late(delay.max) };
  delay.reset();
  return lag;
}

/** Undefined where there is no /proc. */
export async function readOpenWatches(): Promise<OpenWatches | undefined> {
  try {
    const descriptors = await readdir('/proc/self/fd');
    let [instances, watches] = [0, 0];
    // One after the other: it is in no hurry, and others need the threads that read files.
    for (const descriptor of descriptors) {
      const target = await readlink(`/proc/self/fd/${descriptor}`).catch(() => ''); // closed meanwhile
      if (!target.includes('inotify')) continue;
      instances += 1;
      watches += linesOfWatches(
        await readFile(`/proc/self/fdinfo/${descriptor}`).catch(() => Buffer.alloc(0)),
      );
    }
    return { descriptors: descriptors.length, instances, watches };
  } catch {
    return undefined;
  }
}

const WATCH_LINE = Buffer.from('inotify wd:');

function linesOfWatches(text: Buffer): number {
  let count = 0;
  for (let at = text.indexOf(WATCH_LINE); at !== -1; at = text.indexOf(WATCH_LINE, at + 1)) count += 1;
  return count;
}
