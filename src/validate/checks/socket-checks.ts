/** The WebSocket before anything is said on it, and frames of every kind of wrongness. */
import { type Check, type CheckGroup, expectThat, Skipped, shown } from '../check.ts';
import type { Conversation, Frame } from '../socket-client.ts';
import type { Target } from '../target.ts';

const authOk: Check = {
  name: 'auth is answered first, by who this is',
  expected: '`auth_ok` {agent_name, version}; version as in health',
  async run(target) {
    const { welcome } = await target.join();
    expectThat(typeof welcome.agent_name === 'string' && welcome.agent_name !== '', shown(welcome));
    expectThat(welcome.version === target.facts.version, shown(welcome));
    return shown(welcome);
  },
};

const ownName: Check = {
  name: 'a client may choose its name, or be given one',
  expected: 'its own `client_id`; without it one like `ws-1`',
  isBeyond: true,
  async run(target) {
    const id = target.newId();
    const [chosen, given] = [
      await target.join({ client_id: id }),
      await target.join({ client_id: undefined }),
    ];
    expectThat(chosen.welcome.client_id === id, shown(chosen.welcome));
    const { client_id: other } = given.welcome;
    expectThat(typeof other === 'string' && other !== '' && other !== id, shown(given.welcome));
    return `${id}, ${other}`;
  },
};

const optionalAuth: Check = {
  name: 'without a token auth is optional',
  expected: '`pong` on a socket that has not said who it is',
  async run(target) {
    if (target.facts.isGuarded) throw new Skipped('this gateway asks for a token');
    const socket = await target.connect();
    socket.send({ type: 'ping' });
    return shown(await socket.nextOf('pong'));
  },
};

const authError: Check = {
  name: 'a wrong token ends the socket',
  expected: '`auth_error` {reason}, then close 1008; 1000 by the reference',
  isGuardedOnly: true,
  async run(target) {
    const socket = await target.connect();
    socket.send({ type: 'auth', token: target.mark, client_id: target.newId() });
    const frame = await socket.next(() => true, 'first frame');
    expectThat(frame.type === 'auth_error' && typeof frame.reason === 'string', shown(frame));
    const { code } = await socket.closed();
    const seen = `${shown(frame)}, closed with ${code}`;
    expectThat(code === 1008 || (target.isReference && code === 1000), seen);
    return seen;
  },
};

const unauthenticated: Check = {
  name: 'nothing but auth is heard before auth',
  expected: '`auth_error`, the socket stays open, and auth still works',
  isGuardedOnly: true,
  async run(target) {
    if (target.options.token === undefined) throw new Skipped('no token was given');
    const socket = await target.connect();
    socket.send({ type: 'command', name: 'status' });
    const frame = await socket.next(() => true, 'first frame');
    expectThat(frame.type === 'auth_error' && !socket.isClosed, shown(frame));
    socket.send({ type: 'auth', ...target.auth(), client_id: target.newId() });
    await socket.nextOf('auth_ok');
    return shown(frame);
  },
};

const bearer: Check = {
  name: 'the upgrade may carry the credential',
  expected: '`pong` without an `auth` frame',
  isBeyond: true,
  isGuardedOnly: true,
  async run(target) {
    const { token } = target.options;
    if (token === undefined) throw new Skipped('no token was given');
    const socket = await target.connect({ headers: { authorization: `Bearer ${token}` } });
    socket.send({ type: 'ping' });
    return shown(await socket.nextOf('pong'));
  },
};

const switched: Check = {
  name: 'a second auth changes who this is',
  expected: '`auth_ok` again, with the new `client_id`',
  async run(target) {
    const socket = await target.join();
    const id = target.newId();
    socket.send({ type: 'auth', ...target.auth(), client_id: id });
    const frame = await socket.nextOf('auth_ok');
    expectThat(target.isReference || frame.client_id === id, shown(frame));
    return shown(frame);
  },
};

const capabilities: Check = {
  name: 'capabilities are granted, and unknown ones passed over',
  expected: '`auth_ok` with {capabilities: ["delta"], limits}',
  isBeyond: true,
  async run(target) {
    const { welcome } = await target.join({ capabilities: ['delta', 'no such thing'] });
    const granted = welcome.capabilities;
    const isRight = Array.isArray(granted) && granted.length === 1 && granted[0] === 'delta';
    expectThat(isRight && typeof welcome.limits === 'object', shown(welcome));
    return `${shown(granted)}, ${Object.keys(welcome.limits as object).length} limits`;
  },
};

const counted: Check = {
  name: 'a client is counted while it is there',
  expected: 'connected_clients of health is one higher at least',
  async run(target) {
    const count = async (): Promise<number> => {
      const { connected_clients: clients } = (await target.askBare('/api/health')).json() as {
        connected_clients: number;
      };
      return clients;
    };
    const id = target.newId();
    const first = await target.join({ client_id: id });
    const one = await count();
    const second = await target.join({ client_id: id });
    const two = await count();
    await Promise.all([first.settled(), second.settled()]);
    expectThat(one >= 1 && two >= 1, `${one} with one socket, ${two} with two of one client`);
    return `${one} with one socket, ${two} with two of one client`;
  },
};

export const SOCKET_CHECKS: CheckGroup = {
  area: 'socket',
  checks: [
    ...[authOk, ownName, optionalAuth, authError, unauthenticated, bearer, switched, capabilities],
    counted,
  ],
};

const ping: Check = {
  name: 'ping is answered',
  expected: '`pong`, with the id of the ping beyond the reference',
  async run(target) {
    const socket = await target.join();
    socket.send({ type: 'ping', id: 'p-1' });
    const pong = await socket.nextOf('pong');
    expectThat(target.isReference || pong.id === 'p-1', shown(pong));
    return shown(pong);
  },
};

/** What came between these frames and the pong behind them. */
async function answersTo(
  socket: Conversation,
  frames: readonly (object | string)[],
): Promise<readonly Frame[]> {
  const before = (await socket.settled()).length;
  socket.send(...frames);
  return (await socket.settled()).slice(before);
}

function ignored(name: string, ...frames: readonly (object | string)[]): Check {
  return {
    name,
    expected: 'no answer, and the socket goes on',
    async run(target) {
      const answers = await answersTo(await target.join(), frames);
      expectThat(answers.length === 0, shown(answers[0]));
      return 'no answer';
    },
  };
}

/** The reference answers only what is not JSON; it ends the socket for the rest. */
function refused(name: string, frame: object | string, isBeyond: boolean): Check {
  return {
    name,
    expected: isBeyond ? '`error` frame.invalid, and the socket goes on' : '`error`, and the socket goes on',
    ...(isBeyond ? { isBeyond } : {}),
    async run(target: Target) {
      const answers = await answersTo(await target.join(), [frame]);
      const [answer] = answers;
      const seen = `${answers.length} answers, first: ${shown(answer)}`;
      expectThat(answers.length === 1 && answer?.type === 'error', seen);
      expectThat(target.isReference || answer.code === 'frame.invalid', seen);
      return shown(answer);
    },
  };
}

const tooLarge: Check = {
  name: 'a frame over the limit ends the socket',
  expected: 'close 1009',
  async run(target) {
    const socket = await target.join({ capabilities: [] });
    const limits = socket.welcome.limits as { frame_bytes?: number } | undefined;
    const bytes = limits?.frame_bytes ?? 4 * 1024 * 1024;
    socket.send(JSON.stringify({ type: 'ping', padding: 'x'.repeat(bytes) }));
    const { code } = await socket.closed();
    expectThat(code === 1009, `closed with ${code} for ${bytes} bytes and more`);
    return `closed with 1009 for ${bytes} bytes and more`;
  },
};

const flood: Check = {
  name: 'many small frames at once are all answered',
  expected: '200 pings, 200 pongs in their order',
  async run(target) {
    const socket = await target.join();
    const ids = Array.from({ length: 200 }, (_, at) => `f-${at}`);
    socket.send(...ids.map((id) => ({ type: 'ping', id })));
    for (const id of ids) {
      const pong = await socket.nextOf('pong');
      expectThat(target.isReference || pong.id === id, `${shown(pong)} instead of ${id}`);
    }
    return '200 pongs';
  },
};

export const FRAME_CHECKS: CheckGroup = {
  area: 'frames',
  checks: [
    ping,
    flood,
    ignored('a frame of an unknown type is ignored', { type: 'no_such_type', text: 'x' }),
    ignored('a frame without a type is ignored', { text: 'x' }, {}),
    ignored('a blank message is ignored', { type: 'message', text: ' \n\t ' }),
    refused('text that is not JSON is answered', '{"type":', false),
    refused('a frame that is no object is answered', '[1]', true),
    refused('a message without text is answered', { type: 'message' }, true),
    refused('a message whose text is a number is answered', { type: 'message', text: 42 }, true),
    refused('a session that is a list is answered', { type: 'message', text: 'x', session_id: [] }, true),
    refused('a command without a name is answered', { type: 'command' }, true),
    refused('an id of ten thousand characters is answered', { type: 'ping', id: 'x'.repeat(10_000) }, true),
    refused('a binary frame is answered', Buffer.from('{"type":"ping"}'), true),
    tooLarge,
  ],
};
