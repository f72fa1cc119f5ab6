/** The routes of usage and models on a real configuration file and a real ledger, without sockets. */
import type { TestContext } from 'node:test';
import { createModelTest } from '../../src/actors/model-test.ts';
import { createModelsService } from '../../src/actors/models-service.ts';
import { systemClock } from '../../src/contract/clock.ts';
import { ECHO_SETTINGS, type ModelSettings } from '../../src/contract/model-settings.ts';
import { createAgentHttp } from '../../src/gateway/rest/agent-http.ts';
import type { ConfigService } from '../../src/gateway/services/config-service.ts';
import type { ModelProvider } from '../../src/models/provider.ts';
import { createPrices } from '../../src/usage/prices.ts';
import { openStore } from '../fixtures/config-store.ts';
import { type Ask, appOptions, request } from '../fixtures/http-app.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { type LedgerOptions, openLedger } from './usage-fixture.ts';

export interface RestOptions extends LedgerOptions {
  readonly source?: string | null;
  readonly env?: Readonly<Record<string, string>>;
  /** What a test of a provider calls. */
  readonly stream?: ModelProvider['stream'];
}

export async function startRest(t: TestContext, options: RestOptions = {}) {
  const { source = 'name: alpha\n', env } = options;
  const file = openStore(t, { source, ...(env === undefined ? {} : { env }) });
  const opened = await openLedger(t, options);
  const clock = createTestClock();
  const made: ModelSettings[] = [];
  const defects: unknown[] = [];
  const { store, agent } = file;
  const config: Pick<ConfigService, 'read' | 'patch'> = {
    read: () => store.read(agent),
    patch: (section, value, ifMatch) => store.patch(agent, section, value, ifMatch),
  };
  const test = createModelTest({
    clock,
    ledger: opened.ledger,
    settings: () => store.model(agent),
    createModel: (settings) => {
      made.push(settings);
      return { runtimeId: '', stream: options.stream ?? (() => assertNotCalled()) };
    },
    onDefect: (error) => defects.push(error),
  });
  const prices = createPrices(ECHO_SETTINGS.providers);
  const models = createModelsService({ config, prices, wallMs: systemClock.wallMs, test });
  const given = appOptions({});
  const app = createAgentHttp({
    ...given,
    ...{ bodyBytesMax: 1_000_000, jsonDepthMax: 50 },
    services: { ...given.services, models, usage: opened.ledger },
  });
  const ask = async (method: string, path: string, body?: unknown, more: Ask = {}) => {
    const [before = '', query = ''] = path.split('?');
    const text = body === undefined ? '' : JSON.stringify(body);
    const response = await app.handle(request({ method, path: before, query, body: text, ...more }));
    return { status: response.status, body: JSON.parse(String(response.body)) };
  };
  return { ...opened, file, ask, made, defects, testClock: clock, appDefects: given.defects };
}

function assertNotCalled(): never {
  throw new Error('no model was to be called');
}
