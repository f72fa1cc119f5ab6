import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { AppError } from '../../src/contract/errors.ts';
import type { PortPlan } from '../../src/contract/worker-protocol.ts';
import { listenOnPlan, toCandidates } from '../../src/gateway/listen.ts';
import type { Transport } from '../../src/gateway/transport.ts';
import { loadTransport, requireInstalledUws } from '../../src/gateway/transports/load.ts';
import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { startTransport } from '../fixtures/transport-bench.ts';

const plan = (given: Partial<PortPlan>): PortPlan => ({
  first: undefined,
  preferred: 8765,
  taken: [],
  ...given,
});

describe('the order in which ports are tried', () => {
  test('is the preferred one and the 99 after it', () => {
    const candidates = toCandidates(plan({}));
    assert.deepEqual([candidates.length, candidates[0], candidates.at(-1)], [100, 8765, 8864]);
  });

  test('begins with the port the agent had before, once, if it is in range', () => {
    const candidates = toCandidates(plan({ first: 8770 }));
    assert.deepEqual([candidates.length, ...candidates.slice(0, 3)], [100, 8770, 8765, 8766]);
    assert.equal(toCandidates(plan({ first: 8865 }))[0], 8765);
    assert.equal(toCandidates(plan({ first: 8764 }))[0], 8765);
  });

  test('leaves out what belongs to other agents', () => {
    const candidates = toCandidates(plan({ first: 8770, taken: [8765, 8770] }));
    assert.deepEqual([candidates.length, candidates[0]], [98, 8766]);
  });

  test('ends at 65535', () => {
    const candidates = toCandidates(plan({ preferred: 65_530 }));
    assert.deepEqual([candidates.length, candidates.at(-1)], [6, 65_535]);
  });

  test('for any free port is the former one, then whatever the system gives', () => {
    assert.deepEqual(toCandidates(plan({ preferred: 0, first: 40_000 })), [40_000, 0]);
    assert.deepEqual(toCandidates(plan({ preferred: 0 })), [0]);
  });
});

describe('listenOnPlan', () => {
  for (const port of [99_999, -1, 80.5, Number.NaN]) {
    test(`refuses port ${port} and names it`, async () => {
      await assert.rejects(
        listenOnPlan(refuseAll(), '127.0.0.1', plan({ preferred: port })),
        (error: AppError) => {
          assert.equal(error.code, 'bind.port_invalid');
          assert.ok(error.message.includes(String(port)));
          return true;
        },
      );
    });
  }

  for (const host of ['no-such-host.invalid', '192.0.2.1', '']) {
    test(`refuses host "${host}" and says where it is configured`, async () => {
      await assert.rejects(listenOnPlan(refuseAll(), host, plan({})), (error: AppError) => {
        assert.equal(error.code, 'bind.host_unknown');
        assert.match(error.message, /channels\.websocket\.host/);
        assert.ok(error.message.includes(`"${host}"`));
        return true;
      });
    });
  }

  test('says which ports it tried when none is free', async () => {
    const tried: number[] = [];
    await assert.rejects(listenOnPlan(refuseAll(tried), '127.0.0.1', plan({})), (error: AppError) => {
      assert.equal(error.code, 'bind.no_free_port');
      assert.match(error.message, /8765–8864/);
      return true;
    });
    assert.equal(tried.length, 100);
  });

  test('hands a resolved address to the transport', async () => {
    const hosts: string[] = [];
    const transport = fakeTransport(async ({ host, port }) => {
      hosts.push(host);
      return { port };
    });
    assert.deepEqual(await listenOnPlan(transport, 'localhost', plan({})), { port: 8765 });
    assert.deepEqual(hosts, ['127.0.0.1']);
  });

  for (const choice of ['node', 'uws'] as const) {
    const skip = choice === 'uws' && !isUwsThere() && 'uWebSockets.js does not load here';
    test(`thirty ${choice} transports with one preferred port get thirty ports`, { skip }, async (t) => {
      const preferred = await freePort(t);
      const { factory } = await loadTransport(choice);
      const ports = new Set<number>();
      process.setMaxListeners(50);
      for (let agent = 0; agent < 30; agent++) {
        const { transport } = await startTransport(t, factory, { isListening: false });
        ports.add((await listenOnPlan(transport, '127.0.0.1', plan({ preferred }))).port);
      }
      assert.equal(ports.size, 30);
      for (const port of ports) assert.ok(port >= preferred && port < preferred + 100, `${port}`);
    });
  }
});

describe('loadTransport', () => {
  const fail = () => {
    throw new Error("cannot load.\n\nError: libc: version `GLIBC_2.38' not found\n  at x");
  };

  test('auto serves over node:http when uWS does not load, and says why in one line', async () => {
    const { factory, note } = await loadTransport('auto', fail);
    assert.equal(factory, createNodeTransport);
    assert.match(note ?? '', /^[^\n]*GLIBC_2\.38' not found[^\n]*node:http$/);
  });

  test('uws that does not load is an error with the mend', async () => {
    await assert.rejects(loadTransport('uws', fail), (error: AppError) => {
      assert.equal(error.code, 'transport.unavailable');
      assert.match(error.message, /--transport node/);
      return true;
    });
  });

  test('node is taken without a word', async () => {
    assert.deepEqual(await loadTransport('node', fail), { factory: createNodeTransport, note: undefined });
  });

  test('auto is uws without a note where it loads', { skip: !isUwsThere() && 'it does not' }, async () => {
    const { factory, note } = await loadTransport('auto');
    assert.notEqual(factory, createNodeTransport);
    assert.equal(note, undefined);
  });
});

function refuseAll(tried: number[] = []): Transport {
  return fakeTransport(async ({ port }) => {
    tried.push(port);
    return 'taken';
  });
}

function fakeTransport(listen: Transport['listen']): Transport {
  const close = async () => {};
  return { kind: 'node', survivesTerminate: true, listen, stopListening() {}, close, closeNow() {} };
}

async function freePort(t: TestContext): Promise<number> {
  const { port, transport } = await startTransport(t, createNodeTransport);
  await transport.close(1001, '', 100);
  return Math.min(port, 65_400);
}

function isUwsThere(): boolean {
  try {
    requireInstalledUws();
    return true;
  } catch {
    // Why it does not load is reported by the tests of the loader and of the transport.
    return false;
  }
}
