import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createPortRegistry, PORT_SPAN, readPortFile } from '../../src/supervisor/ports.ts';

describe('the ports of a supervisor', () => {
  test('thirty agents with one preferred port each try another first', (t) => {
    const { owner, ports } = startPorts(t);
    const owners = Array.from({ length: 30 }, (_, index) => owner(`a${index}`));
    for (const one of owners) ports.add(one);
    const plans = owners.map((one) => ports.plan(one));
    assert.equal(new Set(plans.map((plan) => plan.first)).size, 30);
    assert.equal(plans[0]?.first, 8765);
    assert.equal(plans[29]?.taken.length, 29);
    assert.ok(!plans[29]?.taken.includes(plans[29].first ?? 0));
  });

  test('the port of an earlier run is kept for its agent, whoever starts first', (t) => {
    const { owner, ports } = startPorts(t);
    const first = owner('a');
    const second = owner('b', { portFile: '8765' });
    ports.add(first);
    ports.add(second);
    assert.equal(ports.plan(first).first, 8766);
    assert.equal(ports.plan(second).first, 8765);
  });

  test('an agent that is told another port has that one, though the one it had would do', (t) => {
    const { owner, ports } = startPorts(t);
    const agent = owner('a');
    ports.add(agent);
    ports.plan(agent);
    ports.bound('a', 8765);
    assert.equal(ports.plan(agent).first, 8765);
    assert.equal(ports.plan({ ...agent, preferredPort: 8760 }).first, 8760);
    ports.bound('a', 8761);
    assert.equal(ports.plan({ ...agent, preferredPort: 8760 }).first, 8761);
  });

  test('two directories that claim one port, as a copy does: the first one has it', (t) => {
    const { owner, ports } = startPorts(t);
    const owners = [owner('a', { portFile: '8770\n' }), owner('b', { portFile: '8770' })];
    for (const one of owners) ports.add(one);
    assert.deepEqual(
      owners.map((one) => ports.plan(one).first),
      [8770, 8765],
    );
  });

  for (const portFile of [
    '8764',
    String(8765 + PORT_SPAN + 1),
    '0',
    '99999',
    '-1',
    '8765 8766',
    'x',
    '',
    '8'.repeat(99),
  ])
    test(`an old .port of ${JSON.stringify(portFile.slice(0, 12))} is ignored`, (t) => {
      const { owner, ports } = startPorts(t);
      const agent = owner('a', { portFile });
      ports.add(agent);
      assert.equal(ports.plan(agent).first, 8765);
    });

  test('nothing above 65535 is offered', (t) => {
    const { owner, ports } = startPorts(t);
    const owners = Array.from({ length: 7 }, (_, index) => owner(`a${index}`, { preferredPort: 65_530 }));
    const firsts = owners.map((one) => ports.plan(one).first);
    assert.deepEqual(firsts, [65_530, 65_531, 65_532, 65_533, 65_534, 65_535, undefined]);
  });

  test('any port means none in particular, and later the same again', (t) => {
    const { owner, ports } = startPorts(t);
    const agent = owner('a', { preferredPort: 0 });
    ports.add(agent);
    assert.equal(ports.plan(agent).first, undefined);
    ports.bound('a', 40_001);
    assert.equal(ports.plan(agent).first, 40_001);
  });

  test('a restart finds the port it had, and no neighbour is offered it meanwhile', (t) => {
    const { owner, ports } = startPorts(t);
    const [a, b] = [owner('a'), owner('b')];
    ports.plan(a);
    ports.bound('a', 8770);
    assert.deepEqual(ports.plan(b).taken, [8770]);
    assert.equal(ports.plan(a).first, 8770);
  });

  test('a stop frees the port and removes .port; started again it has its old one if nobody took it', (t) => {
    const { owner, ports } = startPorts(t);
    const a = owner('a', { portFile: '8770' });
    ports.add(a);
    ports.bound('a', 8770);
    ports.release(a);
    assert.equal(existsSync(join(a.dir, '.port')), false);
    assert.deepEqual(ports.plan(owner('b')).taken, []);
    assert.equal(ports.plan(a).first, 8770);
    ports.release(a);
  });

  test('a .port that is a directory or a pipe neither blocks nor throws', (t) => {
    const { defects, owner, ports } = startPorts(t);
    const [directory, pipe] = [owner('a'), owner('b')];
    mkdirSync(join(directory.dir, '.port'));
    execFileSync('mkfifo', [join(pipe.dir, '.port')]);
    assert.equal(readPortFile(directory.dir), undefined);
    assert.equal(readPortFile(pipe.dir), undefined);
    ports.release(directory);
    assert.equal(defects.length, 1);
  });
});

function startPorts(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'openagent-ports-'));
  t.after(() => rmSync(root, { recursive: true }));
  const defects: unknown[] = [];
  return {
    defects,
    ports: createPortRegistry((error) => defects.push(error)),
    owner: (id: string, options: { portFile?: string; preferredPort?: number } = {}) => {
      const dir = join(root, id);
      mkdirSync(dir);
      if (options.portFile !== undefined) writeFileSync(join(dir, '.port'), options.portFile);
      return { id, dir, preferredPort: options.preferredPort ?? 8765 };
    },
  };
}
