import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHostLink } from '../../src/actors/host-link.ts';
import { AppError } from '../../src/contract/errors.ts';
import { type AskMessage, HOST_LINK_LIMITS, type HostNotice } from '../../src/contract/host-link.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';

function openLink(send: (message: AskMessage) => void = () => {}) {
  const clock = createTestClock();
  const sent: AskMessage[] = [];
  const link = createHostLink((message) => {
    send(message);
    sent.push(message);
  }, clock);
  const ask = (timeoutMs = 1_000) => link.ask({ type: 'config.read' }, { timeoutMs });
  return { clock, sent, link, ask };
}

const failsWith = (code: string) => (error: unknown) => AppError.is(error) && error.code === code;

test('answers reach whoever asked, in whatever order they come', async () => {
  const { sent, link, ask } = openLink();
  const asked = [ask(), ask(), ask()];
  const numbers = sent.map(({ ask: number }) => number);
  assert.equal(new Set(numbers).size, 3);
  const [first = 0, second = 0, third = 0] = numbers;
  link.receive({ type: 'host.answer', ask: third, ok: true, value: 'third' });
  const error = { code: 'config.invalid', message: 'line 3', details: [{ line: 3 }] } as const;
  link.receive({ type: 'host.answer', ask: first, ok: false, error });
  link.receive({ type: 'host.answer', ask: second, ok: true, value: undefined });
  await assert.rejects(asked[0] as Promise<unknown>, { code: 'config.invalid', details: [{ line: 3 }] });
  assert.deepEqual(await Promise.all(asked.slice(1)), [undefined, 'third']);
});

test('a question that is not answered in time fails, and its answer later is nobody’s', async () => {
  const { clock, sent, link, ask } = openLink();
  const asked = ask(500);
  clock.advance(500);
  await assert.rejects(asked, failsWith('host.unavailable'));
  link.receive({ type: 'host.answer', ask: sent[0]?.ask ?? 0, ok: true, value: 1 });
});

test('a bounded number of questions is open at once; one that ends makes room', async () => {
  const { clock, sent, link, ask } = openLink();
  const asked = Array.from({ length: HOST_LINK_LIMITS.openQuestions }, () => ask());
  await assert.rejects(ask(), failsWith('host.unavailable'));
  link.receive({ type: 'host.answer', ask: sent[0]?.ask ?? 0, ok: true, value: 'room' });
  assert.equal(await asked[0], 'room');
  const late = ask();
  clock.advance(1_000);
  const ends = await Promise.allSettled([...asked.slice(1), late]);
  assert.ok(ends.every(({ status }) => status === 'rejected'));
});

test('the end of the agent and the loss of the channel end every question, and refuse new ones', async () => {
  for (const [reason, code] of [
    ['stopping', 'agent.stopping'],
    ['lost', 'host.unavailable'],
  ] as const) {
    const { link, ask } = openLink();
    const asked = ask();
    link.close(reason);
    await assert.rejects(asked, failsWith(code));
    await assert.rejects(ask(), failsWith(code));
  }
});

test('a question that cannot be sent fails with the reason, and holds no place', async () => {
  const { clock, link } = openLink((message) => void structuredClone(message));
  for (let round = 0; round <= HOST_LINK_LIMITS.openQuestions; round += 1) {
    const value = () => {};
    await assert.rejects(link.ask({ type: 'config.replace', value }, { timeoutMs: 1_000 }), {
      name: 'DataCloneError',
    });
  }
  clock.advance(1_000);
});

test('notices go to every listener until it stops listening', () => {
  const { link } = openLink();
  const heard: HostNotice[][] = [[], []];
  const stops = heard.map((list) => link.onNotice((notice) => list.push(notice)));
  const notice = { type: 'log.level', level: 'debug' } as const;
  link.receive({ type: 'host.notice', notice });
  stops[0]?.();
  link.receive({ type: 'host.notice', notice });
  assert.deepEqual([heard[0]?.length, heard[1]?.length], [1, 2]);
});
