/** Commands on the socket, and the two things that end it: only asked for with `--all`. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Check, type CheckGroup, expectThat, shown, Unexpected } from '../check.ts';
import type { Target } from '../target.ts';

/** What the answer begins with or holds; the reference's own words where clients show them. */
const ANSWERS: Readonly<Record<string, RegExp>> = {
  help: /stop[\s\S]*queue/,
  status: /^(Busy|Idle) \| Queue: \d+ \| Sessions: \d+/,
  queue: /^Queue depth: \d+/,
  clear: /queue/i,
  stop: /\S/,
  usage: /\S/,
  new: /^New session: \S+/,
  reset: /^New session: \S+/,
};

function command(name: string, answer: RegExp): Check {
  return {
    name: `\`${name}\` is carried out at once`,
    expected: `one \`command_result\` like ${answer}`,
    async run(target) {
      const socket = await target.join();
      socket.send({ type: 'command', name, id: 'c-1' });
      const frame = await socket.nextOf('command_result');
      expectThat(typeof frame.text === 'string' && answer.test(frame.text), shown(frame));
      const isNamed = frame.name === name && frame.id === 'c-1' && frame.code === undefined;
      expectThat(target.isReference || isNamed, shown(frame));
      const results = (await socket.settled()).filter(({ type }) => type === 'command_result');
      expectThat(results.length === 1, `${results.length} answers`);
      return shown(frame.text);
    },
  };
}

const unknown: Check = {
  name: 'an unknown command is said to be unknown',
  expected: '`command_result` "Unknown command: …"',
  async run(target) {
    const socket = await target.join();
    for (const name of [target.mark, 'constructor', '__proto__']) {
      socket.send({ type: 'command', name });
      const { text } = await socket.nextOf('command_result');
      expectThat(text === `Unknown command: ${name}`, shown(text));
    }
    return '3 times';
  },
};

const whileBusy: Check = {
  name: 'commands are answered while a turn runs',
  expected: '`command_result` before the end of a turn sent just before',
  asksModel: true,
  async run(target) {
    const socket = await target.join();
    const session = target.newId();
    socket.send({ type: 'message', text: 'Answer with the one word: ok', session_id: session });
    socket.send({ type: 'command', name: 'queue' });
    const result = await socket.nextOf('command_result');
    const ends = socket.frames.filter(({ type }) => type === 'response' || type === 'error');
    if (ends.length === 0) {
      await socket.next(({ type }) => type === 'response' || type === 'error', 'end', target.options.turnMs);
    }
    return `${shown(result.text)}${ends.length === 0 ? '' : ' (the turn had ended already)'}`;
  },
};

const stopped: Check = {
  name: '`stop` ends what runs and what waits',
  expected: 'an end for each of three messages',
  isBeyond: true,
  asksModel: true,
  async run(target) {
    const socket = await target.join();
    const session = target.newId();
    for (let at = 0; at < 3; at += 1)
      socket.send({ type: 'message', text: 'Count to 100', session_id: session });
    socket.send({ type: 'command', name: 'stop', session_id: session });
    const ends: unknown[] = [];
    while (ends.length < 3) {
      const isEnd = ({ type }: { type: string }): boolean => type === 'response' || type === 'error';
      const { type, code } = await socket.next(isEnd, 'end', target.options.turnMs);
      ends.push(type === 'error' ? code : type);
    }
    return ends.join(', ');
  },
};

export const COMMAND_CHECKS: CheckGroup = {
  area: 'commands',
  checks: [
    ...Object.entries(ANSWERS).map(([name, answer]) => command(name, answer)),
    unknown,
    whileBusy,
    stopped,
  ],
};

const BACK_MS = 30_000;
const POLL_MS = 100;

const restarted: Check = {
  name: 'POST /api/restart starts the agent again',
  expected: '{ok: true}, sockets closed with 1012, and health on the same port again',
  isIntrusive: true,
  async run(target) {
    const socket = await target.join();
    const before = await startedAt(target);
    const answer = await target.ask('/api/restart', { method: 'POST' });
    const { ok } = answer.json() as { ok?: unknown };
    expectThat(answer.status === 200 && ok === true, answer.summary);
    const { code } = await socket.closed();
    expectThat(target.isReference || code === 1012, `closed with ${code}`);
    const started = performance.now();
    while (performance.now() - started < BACK_MS) {
      const now = await startedAt(target).catch(() => undefined); // nobody listens between the two
      if (now !== undefined && now !== before) {
        return `closed with ${code}, back after ${Math.round(performance.now() - started)} ms`;
      }
      await delay(POLL_MS);
    }
    throw new Unexpected(`closed with ${code}, not back after ${BACK_MS / 1000} s`);
  },
};

/** When this incarnation began; the reference does not tell. */
async function startedAt(target: Target): Promise<unknown> {
  const answer = await target.ask('/api/agent-info');
  expectThat(answer.status === 200, answer.summary);
  return target.isReference ? performance.now() : (answer.json() as { started_at?: unknown }).started_at;
}

export const RESTART_CHECKS: CheckGroup = { area: 'restart', checks: [restarted] };
