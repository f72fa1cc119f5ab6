/** Messages and what becomes of them: one end each, in order, wherever the client is by then. These ask the model. */
import { type Check, type CheckGroup, expectThat, Skipped, shown } from '../check.ts';
import type { Conversation, Frame } from '../socket-client.ts';
import type { Target } from '../target.ts';

const TEXT = 'Answer with the one word: ok';
const TERMINAL = ['response', 'error'];

interface Sent {
  readonly session_id?: string | number | null;
  readonly id?: string;
  readonly text?: string;
}

function say(socket: Conversation, sent: Sent): void {
  socket.send({ type: 'message', text: TEXT, ...sent });
}

function isEnd(frame: Frame): boolean {
  return TERMINAL.includes(frame.type);
}

/** The frame that ends a turn of this session. */
function end(target: Target, socket: Conversation, session: unknown): Promise<Frame> {
  const isIt = (frame: Frame): boolean => isEnd(frame) && frame.session_id === session;
  return socket.next(isIt, `end of the turn in session ${String(session)}`, target.options.turnMs);
}

/** One message alone in its session, to its end. */
function ask(target: Target, socket: Conversation, sent: Sent): Promise<Frame> {
  say(socket, sent);
  return end(target, socket, sent.session_id);
}

/** Also where the model fails: an `error` is as good an end, said plainly. */
function describe(frame: Frame): string {
  const said =
    frame.type === 'response' ? `\`response\` of ${shown(frame.model)}` : `\`error\` ${shown(frame.code)}`;
  return `${said}: ${shown(frame.text)}`;
}

const oneEnd: Check = {
  name: 'a message has exactly one end',
  expected: 'one `response` (or `error`) with its session, `status` before it, nothing after it',
  asksModel: true,
  async run(target) {
    const socket = await target.join();
    const session = target.newId();
    const frame = await ask(target, socket, { session_id: session });
    const all = (await socket.settled()).filter(({ session_id: id }) => id === session);
    const ends = all.filter(isEnd);
    expectThat(ends.length === 1, `${ends.length} ends`);
    expectThat(all.at(-1) === frame, `${shown(all.at(-1))} behind the end`);
    expectThat(
      all.some(({ type }) => type === 'status'),
      'no `status` before it',
    );
    return describe(frame);
  },
};

const wholeResponse: Check = {
  name: 'a response has all its fields',
  expected: 'text, attachments (null or not empty), model (string or null)',
  asksModel: true,
  async run(target) {
    const socket = await target.join();
    const session = target.newId();
    const frame = await ask(target, socket, { session_id: session });
    if (frame.type === 'error') throw new Skipped(`the model does not answer: ${shown(frame.text)}`);
    const { text, attachments, model } = frame;
    expectThat(typeof text === 'string', `text: ${shown(text)}`);
    const hasFiles = Array.isArray(attachments) && attachments.length > 0;
    expectThat(attachments === null || hasFiles, `attachments: ${shown(attachments)}`);
    expectThat(model === null || typeof model === 'string', `model: ${shown(model)}`);
    return shown(frame);
  },
};

const sessionNames: Check = {
  name: 'a session is called what its client calls it',
  expected: '`default` when not named; numbers and null echoed as they are',
  asksModel: true,
  async run(target) {
    const socket = await target.join();
    const sessions = [undefined, 17, null] as const;
    for (const session of sessions) {
      say(socket, session === undefined ? {} : { session_id: session });
      await end(target, socket, session === undefined ? 'default' : session);
    }
    return '"default", 17, null';
  },
};

const inOrder: Check = {
  name: 'messages of a session wait their turn',
  expected: 'positions from 1 upwards, and one end each',
  asksModel: true,
  async run(target) {
    const socket = await target.join();
    const session = target.newId();
    const count = 4;
    for (let at = 0; at < count; at += 1) say(socket, { session_id: session });
    for (let at = 0; at < count; at += 1) await end(target, socket, session);
    const frames = await socket.settled();
    const ends = frames.filter(isEnd);
    expectThat(ends.length === count, `${ends.length} ends of ${count} messages`);
    const positions = frames.filter(({ type }) => type === 'queued').map(({ position }) => position);
    const areRight = positions.every((each) => Number.isInteger(each) && (each as number) >= 1);
    expectThat(areRight && positions.length < count, `positions ${positions.join(', ')}`);
    if (positions.length === 0) throw new Skipped('every answer came before the next message');
    return `${count} ends, positions ${positions.join(', ')}`;
  },
};

const sideBySide: Check = {
  name: 'two sockets of one client have their own answers',
  expected: 'each message ends once, on the socket that sent it',
  asksModel: true,
  async run(target) {
    const id = target.newId();
    const [one, two] = [await target.join({ client_id: id }), await target.join({ client_id: id })];
    const [first, second] = [target.newId(), target.newId()];
    await Promise.all([ask(target, one, { session_id: first }), ask(target, two, { session_id: second })]);
    const ends = [...(await one.settled()), ...(await two.settled())].filter(isEnd);
    expectThat(ends.length === 2, `${ends.length} ends of 2 messages`);
    return 'one end on each';
  },
};

const idempotent: Check = {
  name: 'a message sent twice is answered twice and run once',
  expected: 'the same `turn_id`, the same end',
  isBeyond: true,
  asksModel: true,
  async run(target) {
    const socket = await target.join();
    const [session, id] = [target.newId(), target.newId()];
    const first = await ask(target, socket, { session_id: session, id });
    const again = await ask(target, socket, { session_id: session, id });
    expectThat(JSON.stringify(again) === JSON.stringify(first), `${shown(first)}, then ${shown(again)}`);
    expectThat(first.id === id && typeof first.turn_id === 'string', shown(first));
    return `turn ${first.turn_id} twice`;
  },
};

const idReused: Check = {
  name: 'an id that has been used for another text is refused',
  expected: '`error` message.id_reused',
  isBeyond: true,
  asksModel: true,
  async run(target) {
    const socket = await target.join();
    const [session, id] = [target.newId(), target.newId()];
    await ask(target, socket, { session_id: session, id });
    const frame = await ask(target, socket, { session_id: session, id, text: `${TEXT}, please` });
    expectThat(frame.type === 'error' && frame.code === 'message.id_reused', shown(frame));
    return shown(frame.text);
  },
};

const inPieces: Check = {
  name: 'who asks for pieces gets them, and then the whole',
  expected: '`delta` with seq 1, 2, … without gaps, the end, then `turn_complete`',
  isBeyond: true,
  asksModel: true,
  async run(target) {
    const socket = await target.join({ capabilities: ['delta'] });
    const session = target.newId();
    const frame = await ask(target, socket, { session_id: session });
    await socket.nextOf('turn_complete');
    if (frame.type === 'error') throw new Skipped(`the model does not answer: ${shown(frame.text)}`);
    const frames = (await socket.settled()).filter(({ turn_id: turn }) => turn === frame.turn_id);
    const deltas = frames.filter(({ type }) => type === 'delta');
    expectThat(deltas.length > 0, 'no `delta`');
    expectThat(
      deltas.every(({ seq }, at) => seq === at + 1),
      `seq ${deltas.map(({ seq }) => seq).join(', ')}`,
    );
    expectThat(frames.at(-1)?.type === 'turn_complete', `last: ${shown(frames.at(-1))}`);
    return `${deltas.length} pieces`;
  },
};

const afterReturn: Check = {
  name: 'an answer waits for a client that has gone',
  expected: 'the end, once, when it returns under its `client_id`',
  isBeyond: true,
  asksModel: true,
  async run(target) {
    const [client, session, id] = [target.newId(), target.newId(), target.newId()];
    const socket = await target.join({ client_id: client });
    say(socket, { session_id: session, id });
    await socket.next(({ session_id: of }) => of === session, 'sign that the message was accepted');
    socket.vanish();
    const back = await target.join({ client_id: client });
    const frame = await end(target, back, session);
    const ends = (await back.settled()).filter(isEnd);
    expectThat(ends.length === 1 && frame.id === id, `${ends.length} ends, ${shown(frame)}`);
    return describe(frame);
  },
};

export const TURN_CHECKS: CheckGroup = {
  area: 'turns',
  checks: [
    ...[oneEnd, wholeResponse, sessionNames, inOrder, sideBySide, idempotent, idReused, inPieces],
    afterReturn,
  ],
};
