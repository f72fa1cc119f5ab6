import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type FSWatcher, mkdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Registry, register } from 'prom-client';
import { AGENT_STATES } from '../../src/contract/fleet/agent-states.ts';
import { type Heartbeat, TURN_SECONDS } from '../../src/contract/worker-protocol.ts';
import { NO_SUMS } from '../../src/supervisor/agent-sums.ts';
import { refusedStatus, waitingStatus } from '../../src/supervisor/early-statuses.ts';
import type { AgentStatus } from '../../src/supervisor/fleet.ts';
import { readOpenWatches } from '../../src/supervisor/fleet-gateway/host-figures.ts';
import { METRIC_FAMILIES } from '../../src/supervisor/fleet-gateway/metric-families.ts';
import { createMetrics, METRICS_CONTENT_TYPE } from '../../src/supervisor/fleet-gateway/metrics.ts';
import { preparedAgent } from '../fixtures/prepared-agent.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { tempDir } from '../fixtures/turns.ts';

const hasPromtool = spawnSync('promtool', ['--version']).status === 0;
const NO_PROMTOOL = 'promtool is not installed (Debian has it in the package prometheus)';

test('Prometheus accepts the text and has nothing to say of it', {
  skip: hasPromtool ? false : NO_PROMTOOL,
}, async (t) => {
  const { metrics } = open(t, [RUNNING, HUNG, refusedStatus('/agents/odd "\\\nname', BROKEN)]);
  const promtool = spawn('promtool', ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [promtool.stdout, promtool.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  promtool.stdin.end(await metrics.text());
  const [code] = await once(promtool, 'close');
  assert.equal(said, '');
  assert.equal(code, 0);
});

test('the content type is the one of the text format', (t) => {
  assert.equal(METRICS_CONTENT_TYPE, Registry.PROMETHEUS_CONTENT_TYPE);
  assert.equal(open(t, []).metrics.contentType, METRICS_CONTENT_TYPE);
});

test('an agent is in one state, and every other one is told as 0', async (t) => {
  const { read } = open(t, [RUNNING, HUNG]);
  const samples = await read();
  for (const agent of [RUNNING, HUNG]) {
    const told = AGENT_STATES.map((state) =>
      samples.get(`openagent_agent_state{agent="${agent.id}",state="${state}"}`),
    );
    assert.deepEqual(
      told,
      AGENT_STATES.map((state) => (state === agent.state ? 1 : 0)),
    );
  }
});

test('turns, times, memory and processor of an agent are told in base units', async (t) => {
  const { read, clock } = open(t, [RUNNING]);
  clock.advance(500);
  const samples = await read();
  const told = (name: string, labels = '') => samples.get(`openagent_agent_${name}{agent="runs"${labels}}`);
  assert.deepEqual(
    ['done', 'failed', 'cancelled', 'interrupted'].map((outcome) =>
      told('turns_total', `,outcome="${outcome}"`),
    ),
    [5, 2, 1, 0],
  );
  assert.deepEqual([told('turns_accepted_total'), told('turns_running'), told('turns_waiting')], [9, 1, 2]);
  assert.deepEqual([told('restarts_total'), told('hangs_total'), told('cpu_seconds_total')], [3, 1, 12.5]);
  assert.deepEqual([told('heap_bytes'), told('external_memory_bytes'), told('sockets')], [1_000, 200, 4]);
  assert.deepEqual([told('event_loop_lag_seconds'), told('silent_seconds')], [0.0025, 0.5]);
  assert.equal(told('start_time_seconds'), 1_700_000_000);
  assert.equal(told('model_tokens_total', ',direction="output"'), 70);
  assert.equal(
    samples.get(
      'openagent_agent_info{agent="runs",isolation="thread",transport="uws",port="8765",model="echo"}',
    ),
    1,
  );
});

test('how long turns took is a histogram: cumulative, with everything in its last bucket', async (t) => {
  const { read } = open(t, [RUNNING]);
  const samples = await read();
  const bounds = [...TURN_SECONDS, '+Inf'];
  const buckets = bounds.map((bound) =>
    samples.get(`openagent_agent_turn_duration_seconds_bucket{agent="runs",le="${bound}"}`),
  );
  assert.deepEqual(buckets.slice(0, 3), [5, 5, 7]);
  assert.equal(buckets.at(-2), 7);
  assert.equal(buckets.at(-1), 8);
  assert.equal(samples.get('openagent_agent_turn_duration_seconds_count{agent="runs"}'), 8);
  assert.equal(samples.get('openagent_agent_turn_duration_seconds_sum{agent="runs"}'), 700.5);
});

test('what is not known of an agent is left out, and an agent that is removed altogether', async (t) => {
  const { read, agents, clock } = open(t, [RUNNING, waitingStatus(preparedAgent())]);
  const { id } = waitingStatus(preparedAgent());
  const before = [...(await read()).keys()];
  const told = before.filter((key) => key.includes(`agent="${id}"`)).map((key) => key.split('{')[0]);
  assert.ok(told.includes('openagent_agent_restarts_total'));
  for (const name of ['cpu_seconds_total', 'heap_bytes', 'silent_seconds', 'start_time_seconds', 'info']) {
    assert.ok(!told.includes(`openagent_agent_${name}`), name);
  }
  agents.pop();
  clock.advance(1_000);
  const after = [...(await read()).keys()];
  assert.deepEqual(
    after.filter((key) => key.includes(`agent="${id}"`)),
    [],
  );
  assert.ok(after.some((key) => key.includes('agent="runs"')));
});

test('the host tells of itself', async (t) => {
  const { read } = open(t, []);
  const samples = await read();
  const told = (name: string) => samples.get(`openagent_host_${name}`) ?? Number.NaN;
  for (const name of ['cpu_seconds_total', 'resident_memory_bytes', 'heap_bytes', 'external_memory_bytes']) {
    assert.ok(told(name) > 0, name);
  }
  assert.deepEqual(
    [told('deaths_total'), told('vault_folders_watched'), told('gateway_clients')],
    [2, 12, 3],
  );
  assert.equal(told('start_time_seconds'), 1_600_000_000);
  assert.equal(samples.get(`openagent_build_info{version="1.2.3",node="${process.version}"}`), 1);
});

test('whatever is in the table is in the text, once, and nothing else', async (t) => {
  const text = await open(t, [RUNNING]).metrics.text();
  const named = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]);
  assert.deepEqual(
    named,
    METRIC_FAMILIES.map(({ name, type }) => [name, type]),
  );
  assert.doesNotMatch(text, /undefined|NaN|Nan/);
  assert.deepEqual(register.getMetricsAsArray(), [], 'the registry that all share stays empty');
});

test('who asks at the same time, or soon after, gets the same text', async (t) => {
  const { metrics, clock, made } = open(t, [RUNNING]);
  const texts = await Promise.all(Array.from({ length: 20 }, () => metrics.text()));
  assert.equal(new Set(texts).size, 1);
  clock.advance(200);
  assert.equal(await metrics.text(), texts[0]);
  assert.equal(made(), 1);
  clock.advance(100);
  assert.notEqual(await metrics.text(), texts[0]);
  assert.equal(made(), 2);
});

test('a text that could not be made is told to who asked, and the next one is made', async (t) => {
  const { metrics, breaks } = open(t, [RUNNING]);
  breaks(true);
  await assert.rejects(metrics.text(), /no agents/);
  breaks(false);
  assert.match(await metrics.text(), /agent="runs"/);
});

test('open watches are counted as the system counts them', {
  skip: process.platform === 'linux' ? false : 'there is no /proc',
}, async (t) => {
  const dir = await tempDir(t);
  const before = await readOpenWatches();
  const watchers: FSWatcher[] = [];
  t.after(() => {
    for (const watcher of watchers) watcher.close();
  });
  for (let at = 0; at < 7; at += 1) {
    mkdirSync(join(dir, String(at)));
    watchers.push(watch(join(dir, String(at))));
  }
  const after = await readOpenWatches();
  assert.equal((after?.watches ?? 0) - (before?.watches ?? 0), 7);
  assert.ok((after?.instances ?? 0) >= 1);
});

const BEAT: Heartbeat = {
  ...NO_SUMS,
  ...{ atMs: 0, lagMs: 2.5, progress: 9, turnsRunning: 1, turnsWaiting: 2, sockets: 4, task: 7 },
  memory: { heapUsed: 1_000, external: 200, arrayBuffers: 100 },
};

const RUNNING: AgentStatus = {
  ...refusedStatus('/agents/runs', { code: 'config.invalid', message: '' }),
  ...{ state: 'running', reason: undefined, isolation: 'thread', transport: 'uws', port: 8765 },
  ...{ model: 'echo', restarts: 3, hangs: 1, readyAtMs: 1_700_000_000_000, beat: BEAT },
  ...{ cpuPercent: 3, cpuSeconds: 12.5 },
  sums: {
    turns: {
      ...{ accepted: 9, done: 5, failed: 2, cancelled: 1, interrupted: 0, tookMs: 700_500 },
      took: [5, 0, 2, ...TURN_SECONDS.slice(3).map(() => 0), 1],
    },
    models: { calls: 3, failedCalls: 1, inputTokens: 500, outputTokens: 70, costUsd: 0.25 },
  },
};
const HUNG: AgentStatus = { ...RUNNING, id: 'hangs', state: 'hung' };
const BROKEN = { code: 'config.invalid', message: 'line 3' } as const;

function open(t: TestContext, statuses: readonly AgentStatus[]) {
  const clock = createTestClock();
  const agents = [...statuses];
  let [made, isBroken] = [0, false];
  const metrics = createMetrics({
    ...{ clock, version: '1.2.3', startedAtMs: 1_600_000_000_000, deaths: 2 },
    agents: () => {
      if (isBroken) throw new Error('no agents');
      made += 1;
      return agents;
    },
    vaultFolders: () => 12,
    gatewayClients: () => 3,
  });
  t.after(() => metrics.stop());
  return {
    ...{ metrics, clock, agents, made: () => made },
    breaks: (breaks: boolean) => {
      isBroken = breaks;
    },
    /** Each sample by its name and labels. */
    read: async () => {
      const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
      const samples = lines.map((line): [string, number] => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))];
      });
      assert.equal(new Map(samples).size, samples.length, 'no sample is told twice');
      return new Map(samples);
    },
  };
}
