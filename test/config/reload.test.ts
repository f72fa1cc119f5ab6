/** Hot reload on real files: what is applied, restarted, refused, added and removed, and what is left alone. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { startReloadFleet } from '../fixtures/reload-fleet.ts';

const yaml = (prompt: string, more = ''): string => `name: x\nsystem_prompt: ${prompt}\n${more}`;

const start = (t: TestContext) => startReloadFleet(t, { agents: { alpha: yaml('one'), beta: yaml('one') } });

describe('hot reload', { concurrency: 3 }, () => {
  test('what an agent takes while it runs is applied without a restart, everything else by one, and it is said which', async (t) => {
    const { fileOf, runsWith, statusOf, until, warnings, configEvents } = await start(t);
    writeFileSync(fileOf('alpha'), yaml('one', 'logging: {level: debug}\n'));
    await until('level', () => warnings.length >= 0 && configEvents('alpha').length === 1);
    assert.deepEqual(configEvents('alpha'), [
      { type: 'config.applied', how: 'live', sections: ['logging.level'], id: 'alpha' },
    ]);
    writeFileSync(fileOf('alpha'), yaml('one', 'logging: {level: debug}\nsupervisor: {drain_ms: 77}\n'));
    await until('spec', () => configEvents('alpha').length === 2);
    assert.deepEqual(configEvents('alpha')[1], {
      ...{ type: 'config.applied', how: 'live', sections: ['supervisor'], id: 'alpha' },
    });
    assert.equal(statusOf('alpha')?.restarts, 0);
    writeFileSync(fileOf('alpha'), yaml('two', 'logging: {level: debug}\n'));
    const status = await runsWith('alpha', 'two debug');
    assert.deepEqual([status.restarts, status.config.state], [1, 'ok']);
    assert.deepEqual(configEvents('alpha')[2], {
      ...{ type: 'config.applied', how: 'restart', sections: ['system_prompt', 'supervisor'], id: 'alpha' },
    });
    assert.deepEqual([statusOf('beta')?.restarts, configEvents('beta')], [0, []]);
  });

  test('a change without a meaning leads to nothing; neither does one that is taken back in a moment', async (t) => {
    const { config, fileOf, runsWith, statusOf, until, configEvents } = await start(t);
    writeFileSync(fileOf('alpha'), `# a comment\n${yaml('one')}`);
    writeFileSync(fileOf('beta'), yaml('two'));
    writeFileSync(fileOf('beta'), yaml('one'));
    await until('read', () => config.known.get('alpha')?.text.startsWith('# a comment'));
    writeFileSync(fileOf('alpha'), '# another comment\nsystem_prompt: last\nname: x');
    await runsWith('alpha', 'last info');
    assert.deepEqual([statusOf('alpha')?.restarts, configEvents('alpha').length], [1, 1]);
    assert.deepEqual([statusOf('beta')?.restarts, configEvents('beta').length], [0, 0]);
  });

  test('an invalid file is told with its line, and the last good one stays in use, also across a crash', async (t) => {
    const { fileOf, fleet, runsWith, statusOf, until, warnings, configEvents, lines } = await start(t);
    writeFileSync(fileOf('alpha'), yaml('two', 'logging:\n  level: loud\n'));
    const { config } = await until('invalid', () => {
      const status = statusOf('alpha');
      return status?.config.state === 'invalid' && status;
    });
    assert.equal(config.problem?.code, 'config.invalid');
    assert.match(config.problem.message, /openagent\.yaml:4:10 logging\.level: expected one of/);
    const [event] = configEvents('alpha');
    assert.deepEqual([event?.type, event?.type === 'config.invalid' && event.line], ['config.invalid', 4]);
    assert.match(lines.join(''), /"type":"config","id":"alpha","state":"invalid"/);
    assert.equal(statusOf('alpha')?.restarts, 0);

    assert.equal(fleet.command('alpha', 'restart'), true);
    await until('restart', () => statusOf('alpha')?.restarts === 1);
    const again = await runsWith('alpha', 'one info');
    assert.equal(again.config.state, 'invalid');
    assert.match(warnings.at(-1)?.message ?? '', /starts with the last good openagent\.yaml/);

    writeFileSync(fileOf('alpha'), yaml('one'));
    await until('mended', () => statusOf('alpha')?.config.state === 'ok');
    assert.equal(statusOf('alpha')?.restarts, 1);
    writeFileSync(fileOf('alpha'), yaml('three'));
    await runsWith('alpha', 'three info');
  });

  test('a file that is gone for a while, or is replaced again and again, is not lost from sight', async (t) => {
    const { fileOf, place, runsWith, statusOf, until } = await start(t);
    rmSync(fileOf('alpha'));
    await until('gone', () => statusOf('alpha')?.config.problem?.code === 'config.unreadable');
    writeFileSync(fileOf('alpha'), yaml('two'));
    await runsWith('alpha', 'two info');
    for (const prompt of ['three', 'four', 'five', 'six']) {
      writeFileSync(join(place, 'new'), yaml(prompt));
      renameSync(join(place, 'new'), fileOf('alpha'));
      if (prompt === 'four') await runsWith('alpha', 'four info');
    }
    await runsWith('alpha', 'six info');
  });

  test('a stopped agent is not started by an edit; one that was given up for its configuration is', async (t) => {
    const { fileOf, fleet, runsWith, statusOf, until, configEvents } = await start(t);
    fleet.command('alpha', 'stop');
    await until('stopped', () => statusOf('alpha')?.state === 'stopped');
    writeFileSync(fileOf('alpha'), yaml('two'));
    await until('seen', () => configEvents('alpha').length === 1);
    assert.deepEqual(configEvents('alpha')[0], {
      ...{ type: 'config.applied', how: 'next start', sections: ['system_prompt'], id: 'alpha' },
    });
    assert.equal(statusOf('alpha')?.state, 'stopped');
    fleet.command('alpha', 'start');
    await runsWith('alpha', 'two info');

    // Its directory goes and comes back: what it was given up for can only be mended there.
    const away = `${fileOf('beta').replace('/openagent.yaml', '')}.away`;
    renameSync(join(fileOf('beta'), '..'), away);
    fleet.command('beta', 'restart');
    await until('given up', () => statusOf('beta')?.state === 'quarantined');
    renameSync(away, join(fileOf('beta'), '..'));
    writeFileSync(fileOf('beta'), yaml('three'));
    await runsWith('beta', 'three info');
  });

  test('what is written for a client is applied as it was answered, and not a second time', async (t) => {
    const { config, fileOf, fleet, place, runsWith, statusOf, until, configEvents } = await start(t);
    const agent = { id: 'alpha', dir: join(place, 'alpha') };
    const answer = await config.store.patch(agent, 'system_prompt', 'two', '');
    assert.deepEqual([answer.applied, answer.restartRequired], ['next start', true]);
    await until('seen', () => configEvents('alpha').length === 1);
    assert.deepEqual(configEvents('alpha'), [
      { type: 'config.applied', how: 'next start', sections: ['system_prompt'], id: 'alpha' },
    ]);
    // Somebody's comment must not bring it either.
    writeFileSync(fileOf('alpha'), `# comment\n${yaml('two')}`);
    writeFileSync(fileOf('beta'), yaml('two'));
    await runsWith('beta', 'two info');
    assert.deepEqual([statusOf('alpha')?.restarts, statusOf('alpha')?.model], [0, 'one info']);
    fleet.command('alpha', 'restart');
    await runsWith('alpha', 'two info');

    const live = await config.store.patch(agent, 'logging', { level: 'debug' }, '');
    assert.equal(live.applied, 'live');
    const model = await config.store.patch(agent, 'model', { provider: 'echo', delay_ms: 1 }, '');
    assert.equal(model.applied, 'restart');
    await until('restarted for the model', () => statusOf('alpha')?.restarts === 2);
    await runsWith('alpha', 'two debug');
    writeFileSync(fileOf('alpha'), yaml('three'));
    const status = await runsWith('alpha', 'three info');
    assert.equal(status.restarts, 3);
  });

  test('a directory that was refused at the start is started when its configuration is mended', async (t) => {
    const { fileOf, run, runsWith, statusOf, until } = await startReloadFleet(t, {
      agents: { alpha: yaml('one'), broken: 'logging: {level: loud}\n' },
      dirs: ['alpha', 'broken'],
    });
    await runsWith('alpha', 'one info');
    await until('it is refused', () => statusOf('broken')?.state === 'refused');
    writeFileSync(fileOf('broken'), yaml('mended'));
    await runsWith('broken', 'mended info');
    assert.deepEqual(
      run.agents().map(({ id }) => id),
      ['alpha', 'broken'],
    );
    writeFileSync(fileOf('broken'), yaml('again'));
    await runsWith('broken', 'again info');
  });

  test('directories come and go under a pattern in quotes; those removed by command stay away', async (t) => {
    const agents = { 'agents/alpha': yaml('one'), 'agents/beta': yaml('one') };
    const { fleet, place, run, runsWith, statusOf, until, lines } = await startReloadFleet(t, {
      agents,
      dirs: ['agents/*'],
    });
    await runsWith('alpha', 'one info');
    await runsWith('beta', 'one info');
    const dir = (id: string) => join(place, 'agents', id);
    mkdirSync(dir('.hidden'));
    writeFileSync(join(dir('.hidden'), 'openagent.yaml'), yaml('one'));
    mkdirSync(dir('gamma'));
    await until('nothing yet', () => statusOf('gamma') === undefined);
    writeFileSync(join(dir('gamma'), 'openagent.yaml'), yaml('new'));
    await runsWith('gamma', 'new info');
    assert.match(lines.join(''), /"type":"added","id":"gamma"/);
    writeFileSync(join(dir('gamma'), 'openagent.yaml'), yaml('newer'));
    await runsWith('gamma', 'newer info');

    mkdirSync(dir('delta'));
    writeFileSync(join(dir('delta'), 'openagent.yaml'), 'logging: {level: loud}\n');
    const refused = await until('refused', () => statusOf('delta'));
    assert.deepEqual([refused.state, refused.reason?.code], ['refused', 'config.invalid']);
    writeFileSync(join(dir('delta'), 'openagent.yaml'), yaml('mended'));
    await runsWith('delta', 'mended info');

    rmSync(dir('beta'), { recursive: true });
    await until('beta is gone', () => statusOf('beta') === undefined);
    await run.remove('alpha');
    assert.equal(statusOf('alpha'), undefined);
    writeFileSync(join(dir('alpha'), 'openagent.yaml'), yaml('still here'));
    mkdirSync(dir('beta'));
    writeFileSync(join(dir('beta'), 'openagent.yaml'), yaml('back'));
    await runsWith('beta', 'back info');
    assert.equal(statusOf('alpha'), undefined);
    await run.add(dir('alpha'));
    await runsWith('alpha', 'still here info');
    assert.deepEqual(
      fleet
        .agents()
        .map(({ id }) => id)
        .sort(),
      ['alpha', 'beta', 'delta', 'gamma'],
    );
  });
});
