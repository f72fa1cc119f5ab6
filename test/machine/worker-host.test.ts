import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { crashError, filterReports, type WorkerHostEvent } from '../../src/supervisor/worker-host.ts';
import { preparedAgent } from '../fixtures/prepared-agent.ts';

/** What an `error` event of a real thread brings to this one, after structured clone. */
function thrownBy(code: string): Promise<unknown> {
  return new Promise((resolve) => {
    new Worker(code, { eval: true }).once('error', resolve);
  });
}

describe('whatever a thread throws is described, and described only', () => {
  const THROWS: readonly [string, string, RegExp][] = [
    ['an error', "throw new TypeError('broken')", /broken/],
    ['nothing', 'throw null', /null/],
    ['an error whose stack is a number', "const e = new Error('odd'); e.stack = 42; throw e", /odd|42/],
    ['call sites instead of a stack', "Error.prepareStackTrace = (_, s) => s; throw new Error('sites')", /./],
    ['an object that cannot become a text', 'throw { toString: 1, valueOf: 1 }', /toString/],
    ['a text', "throw 'just text'", /just text/],
  ];
  for (const [what, code, expected] of THROWS) {
    test(what, async () => {
      const error = crashError(await thrownBy(code), []);
      assert.equal(error.code, 'agent.crashed');
      assert.match(error.message, expected);
    });
  }
});

test('a message of an unknown kind is named in one warning, whatever its type is', () => {
  const reports: WorkerHostEvent[] = [];
  const input = { agent: preparedAgent(), incarnation: 1 };
  const filter = filterReports({ input, report: (event) => reports.push(event), receive: () => {} }, []);
  for (const message of [{ type: { toString: 1 } }, { type: Symbol('x') }, 5, null]) filter(message);
  assert.equal(reports.length, 1);
  assert.equal(reports[0]?.type, 'worker.warning');
});
