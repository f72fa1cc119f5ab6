import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { AGENT_STATES } from '../../src/contract/fleet/agent-states.ts';
import { METRIC_FAMILIES } from '../../src/supervisor/fleet-gateway/metric-families.ts';
import { readSource } from '../fixtures/source-tree.ts';
import { tempDir } from '../fixtures/turns.ts';

const page = readSource('docs/metrics.md');
const ROW = /^\| `([a-z0-9_]+)` \| (gauge|counter|histogram) \| (–|(?:`[a-z]+`(?:, )?)+) \| (.+) \|$/;

test('docs/metrics.md has every metric with its type and labels, and no other, in the order of the text', () => {
  const rows = page
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const [, name, type, labels = ''] = ROW.exec(line) ?? [];
      assert.ok(name, `the row has a name, a type, labels and a meaning: ${line}`);
      return { name, type, labels: [...labels.matchAll(/`([a-z]+)`/g)].map(([, label]) => label) };
    });
  assert.deepEqual(
    rows,
    METRIC_FAMILIES.map(({ name, type, labels }) => ({ name, type, labels })),
  );
});

test('docs/metrics.md names every state', () => {
  assert.deepEqual(
    AGENT_STATES.filter((state) => !page.includes(`\`${state}\``)),
    [],
  );
});

const [, alerts = ''] = /^```yaml\n(groups:[\s\S]*?)^```$/m.exec(page) ?? [];

test('alerts name only metrics and states that there are', () => {
  const { groups } = parse(alerts) as { groups: { rules: { expr: string }[] }[] };
  const rules = groups.flatMap((group) => group.rules.map(({ expr }) => expr));
  assert.ok(rules.length >= 3);
  const known = METRIC_FAMILIES.map(({ name }) => name);
  const named = rules.flatMap((rule) => rule.match(/\bopenagent_[a-z_]+/g) ?? []);
  assert.deepEqual(
    named.filter((name) => !known.includes(name)),
    [],
  );
  const states = rules.flatMap((rule) => /state=~?"([^"]+)"/.exec(rule)?.[1]?.split('|') ?? []);
  assert.deepEqual(
    states.filter((state) => !AGENT_STATES.some((known) => known === state)),
    [],
  );
});

test('Prometheus understands the alerts', {
  skip:
    spawnSync('promtool', ['--version']).status === 0
      ? false
      : 'promtool is not installed (Debian has it in the package prometheus)',
}, async (t) => {
  const file = join(await tempDir(t), 'alerts.yaml');
  writeFileSync(file, alerts);
  const { stdout, stderr, status } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
});
