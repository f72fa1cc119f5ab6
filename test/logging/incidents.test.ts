/** What an operator is told of an agent that stalls must not wait for the disk that the agent waits for. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { NO_ANSWER } from '../../src/autopsy/examine.ts';
import { type Incident, recordIncident } from '../../src/supervisor/incidents.ts';
import { preparedAgent } from '../fixtures/prepared-agent.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';

test('a stall is told with its commit while the disk does not answer, without the file', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'openagent-incident-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'logs'));
  const log = join(dir, 'logs/events.jsonl');
  execFileSync('mkfifo', [log]); // whoever opens it to read waits for somebody who writes
  const clock = createTestClock();
  const told = recordIncident(stallIn(dir), clock, (error) => assert.fail(String(error)));
  clock.advance(1_000);
  assert.deepEqual(await told, {
    kind: 'stalled',
    text: 'stalled for 2.0 s, storage commit of 12: waiting for it to come back',
    file: undefined,
  });
  // Not synchronously: whoever reads may still be on the way to opening it.
  await writeFile(log, '');
});

function stallIn(dir: string): Incident {
  const activities = [{ kind: 'storage', detail: 'commit of 12', sinceMs: 1 }] as const;
  const autopsy = { ...NO_ANSWER, place: undefined, stack: [], activities, output: [] };
  return {
    kind: 'stalled',
    agent: preparedAgent({ dir }),
    incarnation: 1,
    silentMs: 2_000,
    autopsy,
    children: [],
  };
}
