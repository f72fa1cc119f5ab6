/**
 * Puts the table of metrics into a registry of its own, and makes the text of it. Figures are read at that moment and
 * kept nowhere, so an agent that is removed is gone from the text, and there is nothing to be counted twice.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { createHostReader } from './host-figures.ts';
import { type Facts, type Family, METRIC_FAMILIES } from './metric-families.ts';
import type { MetricsOptions } from './metrics.ts';

export interface MetricsText {
  text(): Promise<string>;
  readonly registry: Registry;
  stop(): void;
}

const TYPES = { gauge: Gauge, counter: Counter, histogram: Histogram } as const;

export function createMetricsText(options: MetricsOptions): MetricsText {
  const registry = new Registry();
  const host = createHostReader(options);
  let facts: Facts | undefined;
  for (const family of METRIC_FAMILIES) register(family, registry, () => facts);
  return {
    registry,
    stop: host.stop,
    // Never called again before it is done.
    text: async () => {
      const figures = await host.read();
      facts = { agents: options.agents(), nowMs: options.clock.monotonicMs(), host: figures };
      return registry.metrics();
    },
  };
}

/** Samples are made whole for each text: setting thousands of figures one by one, by hash, takes twice the time. */
function register(family: Family, registry: Registry, facts: () => Facts | undefined): void {
  const { name, help, labels: labelNames } = family;
  const metric = new TYPES[family.type]({ name, help, labelNames, registers: [registry] });
  const described = metric.get();
  const get = async () => {
    const known = facts();
    return { ...(await described), values: known ? family.samples(known) : [] };
  };
  // A histogram's text is made by the second one.
  Object.assign(metric, { get, getForPromString: get });
}
