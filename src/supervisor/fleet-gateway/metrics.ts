/**
 * `/metrics`: what a monitoring system reads of the host and of every agent. The text is made when it is asked for, once
 * for all who ask at the same time; what makes it is loaded with the first of them, so a fleet that nobody watches pays
 * nothing. Whatever hangs, it is made from what the main thread knows.
 */
import type { Clock } from '../../contract/clock.ts';
import type { AgentStatus } from '../fleet.ts';
import type { MetricsText } from './metrics-registry.ts';

export interface MetricsOptions {
  readonly clock: Clock;
  readonly version: string;
  /** When the host process started, milliseconds since the Unix epoch. */
  readonly startedAtMs: number;
  /** Host processes that died before this one under the same launcher. */
  readonly deaths: number;
  /** All that are supervised, and those that were refused. */
  readonly agents: () => readonly AgentStatus[];
  /** Folders of vaults that are watched. */
  readonly vaultFolders: () => number;
  /** Open connections of the fleet gateway. */
  readonly gatewayClients: () => number;
}

export interface Metrics {
  text(): Promise<string>;
  readonly contentType: string;
  stop(): void;
}

/** Several who scrape at the same time get the same text. */
const KEPT_MS = 250;
/** Of the text format, as the library names it; a test holds them together. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function createMetrics(options: MetricsOptions): Metrics {
  const { clock } = options;
  let maker: Promise<MetricsText> | undefined;
  let latest: { readonly text: Promise<string>; untilMs: number } | undefined;

  const make = async (): Promise<string> => {
    maker ??= import('./metrics-registry.ts').then(({ createMetricsText }) => createMetricsText(options));
    return (await maker).text();
  };

  return {
    contentType: METRICS_CONTENT_TYPE,
    text: () => {
      if (latest && clock.monotonicMs() < latest.untilMs) return latest.text;
      const making = { text: make(), untilMs: Number.POSITIVE_INFINITY };
      latest = making;
      making.text.then(
        () => {
          making.untilMs = clock.monotonicMs() + KEPT_MS;
        },
        () => {
          // Whoever asked is told; the next one gets another try.
          maker = undefined;
          making.untilMs = 0;
        },
      );
      return making.text;
    },
    stop: () => void maker?.then(({ stop }) => stop()).catch(() => {}),
  };
}
