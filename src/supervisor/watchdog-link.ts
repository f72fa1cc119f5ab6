/**
 * The host's side of the launcher's channel: says that it lives, hears signals, and gets back what the last host left.
 * The first message has to be waited for, and signals may come before anybody asks for them, so this listens from the
 * start and keeps what it cannot hand on yet.
 */
import type { HostDeath } from './suspects.ts';

/** Between signs of life. The launcher loses patience after ten of them. */
const BEAT_MS = 1_000;
/** A launcher speaks at once; a stranger at the other end of the channel does not. */
const LAUNCHED_MS = 2_000;

export interface LauncherSignal {
  readonly signal: NodeJS.Signals;
  readonly sentMs: number;
}

/** What the host has of its process; a seam for tests. */
export interface Channel {
  readonly connected: boolean;
  send(message: object, sent: () => void): void;
  onMessage(listener: (message: unknown) => void): void;
  onDisconnect(listener: () => void): void;
  disconnect(): void;
  /** It shall not keep the process alive. */
  unref(): void;
}

export interface Watchdog {
  /** `none`: started without one. `unwatched`: it has died, and nobody starts this host again. */
  state(): 'watched' | 'unwatched' | 'none';
  /** Whether a death of this host would be followed by another host. */
  willRestart(): boolean;
  /** What the launcher kept, and why there was something to keep. */
  readonly launched: { readonly memory: unknown; readonly death: HostDeath | undefined };
  remember(memory: object): void;
  /** The last death is charged to an agent. */
  forgive(): void;
  /** Asks to be killed and started again; the launcher refuses when that has happened too often. */
  replace(reason: string): void;
  /** From here on this host is not started again, however it ends. */
  stopping(): void;
  /** The exit code this process is about to end with, whatever the system will say; resolves when it is told. */
  exiting(exitCode: number): Promise<void>;
  disconnect(): void;
  onSignal(listener: (signal: LauncherSignal) => void): void;
  onReplaceRefused(listener: () => void): void;
  onLost(listener: () => void): void;
}

const NOTHING = { memory: undefined, death: undefined } as const;

export async function connectWatchdog(channel: Channel | undefined): Promise<Watchdog> {
  if (!channel) return withoutWatchdog();
  const signals: LauncherSignal[] = [];
  const on: Listeners = {
    signal: (signal) => void signals.push(signal),
    refused: () => {},
    lost: () => {},
  };
  let isLost = !channel.connected;
  let isStopping = false;
  channel.onDisconnect(() => {
    isLost = true;
    on.lost();
  });
  const say = (message: object, sent = () => {}): void => {
    if (isLost) return sent();
    channel.send(message, sent);
  };
  const launched = listen(channel, on);
  say({ type: 'beat' });
  const beating = setInterval(() => say({ type: 'beat' }), BEAT_MS);
  beating.unref();
  const watchdog = {
    state: () => (isLost ? ('unwatched' as const) : ('watched' as const)),
    willRestart: () => !isLost && !isStopping,
    launched: await launched,
    remember: (memory: object) => say({ type: 'remember', memory }),
    forgive: () => say({ type: 'forgive' }),
    replace: (reason: string) => say({ type: 'replace', reason }),
    stopping: () => {
      isStopping = true;
      say({ type: 'stopping' });
    },
    exiting: (exitCode: number) => new Promise<void>((told) => say({ type: 'exiting', exitCode }, told)),
    disconnect: () => {
      clearInterval(beating);
      on.lost = () => {};
      if (!isLost) channel.disconnect();
    },
    onSignal: (listener: Listeners['signal']) => {
      on.signal = listener;
      for (const signal of signals.splice(0)) listener(signal);
    },
    onReplaceRefused: (listener: () => void) => {
      on.refused = listener;
    },
    onLost: (listener: () => void) => {
      on.lost = listener;
      if (isLost) listener();
    },
  };
  // The launcher may be killed without us noticing at once: agents matter, it does not.
  channel.unref();
  return watchdog;
}

interface Listeners {
  signal: (signal: LauncherSignal) => void;
  refused: () => void;
  lost: () => void;
}

/** Resolves with the launcher's first message; the others go to the listeners. */
function listen(channel: Channel, on: Listeners): Promise<Watchdog['launched']> {
  return new Promise((resolve) => {
    channel.onMessage((message) => {
      if (!isRecord(message)) return;
      if (message.type === 'launched') resolve({ memory: message.memory, death: toDeath(message.death) });
      else if (message.type === 'kept') on.refused();
      else if (message.type === 'signal') on.signal(message as unknown as LauncherSignal);
    });
    channel.onDisconnect(() => resolve(NOTHING));
    setTimeout(() => resolve(NOTHING), LAUNCHED_MS).unref();
  });
}

function withoutWatchdog(): Watchdog {
  const ignore = (): void => {};
  return {
    state: () => 'none',
    willRestart: () => false,
    launched: NOTHING,
    remember: ignore,
    forgive: ignore,
    replace: ignore,
    stopping: ignore,
    exiting: async () => {},
    disconnect: ignore,
    onSignal: ignore,
    onReplaceRefused: ignore,
    onLost: ignore,
  };
}

/** The channel this process was started with, when it was. */
export function channelOf(host: NodeJS.Process): Channel | undefined {
  if (host.send === undefined) return undefined;
  return {
    get connected() {
      return host.connected === true;
    },
    // It fails when the launcher has just died, which `disconnect` says.
    send: (message, sent) => void host.send?.(message, undefined, undefined, sent),
    onMessage: (listener) => void host.on('message', listener),
    onDisconnect: (listener) => void host.on('disconnect', listener),
    disconnect: () => host.disconnect?.(),
    unref: () => host.channel?.unref(),
  };
}

function toDeath(value: unknown): HostDeath | undefined {
  if (!isRecord(value)) return undefined;
  const { pid, how, recent, total } = value;
  if (typeof pid !== 'number' || typeof how !== 'string') return undefined;
  return { pid, how, recent: Number(recent) || 1, total: Number(total) || 1 };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
