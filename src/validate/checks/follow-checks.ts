/** Frames that come by themselves, to clients that asked for them. */
import { type Check, type CheckGroup, expectThat, Skipped, shown } from '../check.ts';
import { notePath, writeWell } from './vault-checks.ts';

const followed: Check = {
  name: 'the event log can be followed, and left alone again',
  expected: '`logs` with follow true, then `log` when there is a message; `logs` with follow false',
  isBeyond: true,
  asksModel: true,
  async run(target) {
    const socket = await target.join();
    socket.send({ type: 'logs', follow: true, level: 'debug', id: 'l-1' });
    const first = (await socket.settled()).find(({ type }) => type === 'logs');
    if (first === undefined) throw new Skipped('this gateway does not know the frame');
    expectThat(first.follow === true && first.id === 'l-1', shown(first));
    socket.send({ type: 'message', text: 'Answer with the one word: ok', session_id: target.newId() });
    const log = await socket.nextOf('log');
    socket.send({ type: 'logs', follow: false, id: 'l-2' });
    const last = await socket.next(({ type, id }) => type === 'logs' && id === 'l-2', '`logs` frame');
    expectThat(last.follow === false, shown(last));
    return shown(log);
  },
};

const resources: Check = {
  name: 'who asks is told what has changed',
  expected: '`resource_event` for a note that was written, and none for who did not ask',
  isBeyond: true,
  async run(target) {
    const [asks, other] = [await target.join({ capabilities: ['resources'] }), await target.join()];
    const granted = asks.welcome.capabilities as readonly string[];
    if (!granted.includes('resources')) throw new Skipped('this gateway does not know the capability');
    await writeWell(target, 'event.md', 'Tell');
    const isIt = ({ type, resource }: { type: string; resource?: unknown }): boolean =>
      type === 'resource_event' && resource === 'vault';
    const event = await asks.next(isIt, '`resource_event` of the vault');
    const path = notePath(target, 'event.md');
    expectThat(event.id === path || event.action === 'changed', shown(event));
    const uninvited = (await other.settled()).filter(({ type }) => type === 'resource_event');
    expectThat(uninvited.length === 0, `${uninvited.length} for who did not ask`);
    return shown(event);
  },
};

export const FOLLOW_CHECKS: CheckGroup = { area: 'frames', checks: [followed, resources] };
