/** Directories that come and go where others stand in their way, and where nothing was at first. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startReloadFleet } from '../fixtures/reload-fleet.ts';

const yaml = (prompt: string): string => `name: x\nsystem_prompt: ${prompt}\n`;

describe('patterns of the command line', { concurrency: 3 }, () => {
  test('a pattern that matched nothing is refused no longer once it matches', async (t) => {
    const { place, run, runsWith, until } = await startReloadFleet(t, {
      agents: { 'first/alpha': yaml('one') },
      dirs: ['first/alpha', 'later/*'],
    });
    await runsWith('alpha', 'one info');
    const states = () => run.agents().map(({ id, state }) => `${id} ${state}`);
    assert.deepEqual(states(), ['alpha running', '* refused']);
    mkdirSync(join(place, 'later', 'beta'), { recursive: true });
    writeFileSync(join(place, 'later', 'beta', 'openagent.yaml'), yaml('two'));
    await runsWith('beta', 'two info');
    await until('nothing is refused', () => states().join() === 'alpha running,beta running');
  });

  for (const how of ['by command', 'with its directory'] as const)
    test(`one whose id another had is started when that one is removed ${how}`, async (t) => {
      const { place, run, runsWith, statusOf } = await startReloadFleet(t, {
        agents: { 'one/alpha': yaml('one'), 'two/alpha': yaml('two') },
        dirs: ['one/*', 'two/*'],
      });
      await runsWith('alpha', 'one info');
      assert.deepEqual(
        run.agents().map(({ reason }) => reason?.code),
        [undefined, 'agent.id_duplicate'],
      );
      // From here on the patterns are known to be looked at.
      mkdirSync(join(place, 'two', 'other'));
      writeFileSync(join(place, 'two', 'other', 'openagent.yaml'), yaml('one'));
      await runsWith('other', 'one info');
      if (how === 'by command') await run.remove('alpha');
      else rmSync(join(place, 'one', 'alpha'), { recursive: true });
      await runsWith('alpha', 'two info');
      assert.deepEqual(
        run.agents().map(({ dir }) => dir),
        ['other', 'alpha'].map((id) => join(place, 'two', id)),
      );
      writeFileSync(join(place, 'two', 'alpha', 'openagent.yaml'), yaml('again'));
      await runsWith('alpha', 'again info');
      assert.equal(statusOf('alpha')?.incarnation, 2);
    });

  test('a directory that is given another name is another agent', async (t) => {
    const { place, run, runsWith, until, defects } = await startReloadFleet(t, {
      agents: { 'all/alpha': yaml('one') },
      dirs: ['all/*'],
    });
    await runsWith('alpha', 'one info');
    // From here on the patterns are known to be looked at.
    mkdirSync(join(place, 'all', 'other'));
    writeFileSync(join(place, 'all', 'other', 'openagent.yaml'), yaml('one'));
    await runsWith('other', 'one info');
    renameSync(join(place, 'all', 'alpha'), join(place, 'all', 'beta'));
    await runsWith('beta', 'one info');
    await until('alpha is gone', () => !run.agents().some(({ id }) => id === 'alpha'));
    assert.deepEqual(defects, []);
  });

  test('an agent that is removed twice at once ends once, and that is told once', async (t) => {
    const { run, events, runsWith } = await startReloadFleet(t, {
      agents: { alpha: yaml('one'), beta: yaml('one') },
    });
    await Promise.all([run.remove('alpha'), run.remove('alpha'), run.remove('alpha')]);
    const told = () => events.filter(({ type }) => type === 'agent.removed').length;
    assert.equal(told(), 1);
    await run.add(join(run.agents()[0]?.dir ?? '', '..', 'alpha'));
    await runsWith('alpha', 'one info');
    await run.remove('alpha');
    assert.equal(told(), 2);
    await assert.rejects(run.remove('alpha'), { code: 'agent.not_found' });
  });
});
