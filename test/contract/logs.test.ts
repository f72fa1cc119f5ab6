import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createLogFollows } from '../../src/gateway/ws/log-follow.ts';
import type { LogFollower } from '../../src/logging/event-log.ts';
import { TRANSPORTS } from '../fixtures/both-transports.ts';
import { startFileGateway } from '../fixtures/file-gateway.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { connectClient, signIn } from '../fixtures/ws-client.ts';
import { startGateway } from '../fixtures/ws-gateway.ts';

type Entries = readonly { readonly ts: number; readonly event: string; readonly n?: number }[];

for (const [name, factory] of TRANSPORTS) {
  describe(`logs over ${name}`, () => {
    test('GET is a bare array, oldest first, filtered by prefix; DELETE empties it', async (t) => {
      const { url, log, dir } = await startFileGateway(t, factory);
      const read = async (query = '') => {
        const response = await fetch(`${url}/api/logs${query}`);
        assert.equal(response.status, 200);
        return (await response.json()) as Entries;
      };
      for (let n = 1; n <= 150; n += 1) log.info(n % 2 ? 'odd.one' : 'even.one', { n });
      const all = await read();
      assert.ok(Array.isArray(all));
      assert.equal(all.length, 100, 'the default');
      assert.deepEqual([all[0]?.n, all.at(-1)?.n], [51, 150]);
      assert.deepEqual(
        (await read('?lines=2&event=odd')).map(({ n }) => n),
        [147, 149],
      );
      assert.deepEqual(
        (await read('?lines=0')).map(({ n }) => n),
        [150],
      );
      assert.equal((await read('?lines=1000000')).length, 150);
      const response = await fetch(`${url}/api/logs`, { method: 'DELETE' });
      assert.deepEqual([response.status, await response.json()], [200, { ok: true }]);
      assert.deepEqual(await read(), []);
      log.info('new');
      assert.deepEqual(
        (await read()).map(({ event }) => event),
        ['new'],
      );
      assert.deepEqual(readdirSync(join(dir, 'logs')).sort(), ['events.jsonl', 'events.jsonl.1']);
    });

    test('a query that makes no sense is 400, and with a token the log is for its owner', async (t) => {
      const open = await startFileGateway(t, factory);
      for (const query of [
        '?lines=x',
        '?lines=-1',
        '?lines=1.5',
        '?lines=1&lines=2',
        `?event=${'e'.repeat(300)}`,
      ]) {
        assert.equal((await fetch(`${open.url}/api/logs${query}`)).status, 400, query);
      }
      const { url } = await startFileGateway(t, factory, { token: 'right' });
      assert.equal((await fetch(`${url}/api/logs`)).status, 401);
      assert.equal((await fetch(`${url}/api/logs`, { method: 'DELETE' })).status, 401);
    });

    test('a client follows the log by name and level, and ends it', async (t) => {
      const gateway = await startGateway(t, factory);
      const emit = (event: string, level: Parameters<LogFollower>[2]) => {
        for (const follower of gateway.followers) follower(`{"ts":1,"event":"${event}"}\n`, event, level);
      };
      const client = await signIn(t, gateway);
      client.send({ type: 'logs', follow: true, event: 'message.', level: 'warn', id: 'l-1' });
      assert.deepEqual(await client.next(), { type: 'logs', follow: true, id: 'l-1' });
      emit('message.received', 'info');
      emit('queue.full', 'error');
      emit('message.error', 'error');
      emit('message.odd', 'warn');
      const { entries, dropped } = await client.nextOf('log');
      assert.deepEqual(
        entries.map(({ event }) => event),
        ['message.error', 'message.odd'],
      );
      assert.equal(dropped, undefined);
      client.send({ type: 'logs', follow: true });
      await client.nextOf('logs');
      assert.equal(gateway.followers.size, 1);
      emit('anything', 'debug');
      assert.deepEqual(
        (await client.nextOf('log')).entries.map(({ event }) => event),
        ['anything'],
      );
      client.send({ type: 'logs', follow: false });
      assert.equal((await client.nextOf('logs')).follow, false);
      assert.equal(gateway.followers.size, 0);
    });

    test('a socket that closes follows no more; one that is not authenticated never does', async (t) => {
      const gateway = await startGateway(t, factory, { token: 'right' });
      const stranger = await connectClient(t, gateway);
      stranger.send({ type: 'logs', follow: true });
      assert.equal((await stranger.nextOf('auth_error')).code, 'auth.required');
      assert.equal(gateway.followers.size, 0);
      const client = await signIn(t, gateway, { token: 'right' });
      client.send({ type: 'logs', follow: true });
      await client.nextOf('logs');
      assert.equal(gateway.followers.size, 1);
      await client.close();
      const other = await signIn(t, gateway, { token: 'right' });
      await other.settled();
      assert.equal(gateway.followers.size, 0);
    });

    test('one client more than may follow is told so, and comes in when another one ends', async (t) => {
      const gateway = await startGateway(t, factory, { limits: { logFollowers: 1 } });
      const [first, second] = [await signIn(t, gateway), await signIn(t, gateway)];
      first.send({ type: 'logs', follow: true });
      await first.nextOf('logs');
      second.send({ type: 'logs', follow: true, id: 'l' });
      const { code, id } = await second.nextOf('error');
      assert.deepEqual([code, id], ['logs.full', 'l']);
      first.send({ type: 'logs', follow: false });
      await first.nextOf('logs');
      second.send({ type: 'logs', follow: true });
      assert.equal((await second.nextOf('logs')).follow, true);
    });
  });
}

test('who reads slowly misses entries and is told how many; nothing grows, and nobody waits', () => {
  const clock = createTestClock();
  const followers = new Set<LogFollower>();
  let waiting = 0;
  const sent: { entries: Entries; dropped?: number }[] = [];
  const follows = createLogFollows({
    ...{ clock, limits: { logFollowers: 1, logFollowBytes: 1_000 } },
    follow: (follower) => {
      followers.add(follower);
      return () => void followers.delete(follower);
    },
  });
  const wire = {
    send: (frame: string) => sent.push(JSON.parse(frame)) > 0,
    bufferedBytes: () => waiting,
  };
  const stop = follows.start(wire, { event: '', level: 'debug' });
  const emit = (count: number) => {
    for (let n = 0; n < count; n += 1) {
      for (const follower of followers) follower(`{"ts":${n},"event":"e"}\n`, 'e', 'info');
    }
  };
  waiting = 5_000;
  emit(100_000);
  clock.advance(1_000);
  assert.equal(sent.length, 0, 'its buffer is full');
  waiting = 0;
  clock.advance(100);
  assert.equal(sent.length, 1);
  const [frame] = sent;
  const got = frame?.entries.length ?? 0;
  assert.ok(got > 10 && got < 60, String(got));
  assert.equal(frame?.dropped, 100_000 - got);
  emit(2);
  clock.advance(100);
  assert.deepEqual([sent[1]?.entries.length, sent[1]?.dropped], [2, undefined]);
  stop?.();
  stop?.();
  emit(1);
  clock.advance(1_000);
  assert.deepEqual([sent.length, followers.size], [2, 0]);
  assert.ok(follows.start(wire, { event: '', level: 'debug' }), 'its place is free once');
});
