/**
 * The watchdog: starts the host process, passes signals on, starts it again when it dies without having said that it
 * ends, and otherwise exits as the host does. Nothing restarts the watchdog itself, so it has almost no code and knows
 * nothing of agents; what the next host must know of the last one it keeps for it, unread.
 *
 * Host and watchdog share a process group, so a terminal's Ctrl-C reaches both, and the host hears of it twice; it
 * counts them as one by time (src/supervisor/stop-signals.ts).
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { createRespawnBudget, createSilence } from './respawn-budget.mjs';

/** As in src/supervisor/exit-codes.ts. */
const EXIT_HOST_LOST = 5;
const TICK_MS = 1_000;

/** The clock that all processes of a machine share, in milliseconds. */
const sharedClockMs = () => Number(process.hrtime.bigint() / 1_000_000n);

export function watch(hostFile, args) {
  const budget = createRespawnBudget();
  let memory;
  let total = 0;
  /** Only a host that runs agents is started again; `--help` that fails has failed. */
  let isWatched = false;
  let isStopping = false;
  let current;
  let respawn;

  function start(death) {
    current = startHost(hostFile, args, {
      heard: () => {
        isWatched = true;
      },
      remember: (state) => {
        memory = state;
      },
      stopping: () => {
        isStopping = true;
      },
      forgive: budget.forgive,
      mayReplace: () => !isStopping && budget.mayDie(sharedClockMs()),
      ended,
    });
    current.send({ type: 'launched', memory, death });
  }

  function ended({ pid, exitCode, isAnnounced, how }) {
    current = undefined;
    if (isAnnounced || isStopping || !isWatched) process.exit(exitCode);
    const nowMs = sharedClockMs();
    const delayMs = budget.died(nowMs);
    const recent = budget.recent(nowMs);
    total += 1;
    if (delayMs === undefined) {
      say(`the host process died ${recent} times within a minute (at last: ${how}); giving up`);
      process.exit(EXIT_HOST_LOST);
    }
    const when = delayMs === 0 ? '' : ` in ${delayMs} ms`;
    say(`the host process ${pid ?? ''} died (${how}); starting it again${when}`);
    const again = () => start({ pid: pid ?? 0, how, recent, total });
    if (delayMs === 0) again();
    else respawn = setTimeout(again, delayMs);
  }

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      isStopping = true;
      clearTimeout(respawn);
      if (!current) process.exit(0);
      current.signal(signal);
    });
  }
  // A terminal that is gone is no reason to leave the host alone.
  process.stderr.on('error', () => {});
  start(undefined);
}

/** One host, from its start to its end. */
function startHost(hostFile, args, on) {
  const host = spawn(process.execPath, [hostFile, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  const send = (message) => {
    if (host.connected) host.send(message, () => {}); // fails when the host has just ended: then `close` comes
  };
  /** `announced`: the exit code where the host cannot carry it, because it has to end by a signal. */
  const life = { host, send, silence: undefined, announced: undefined, killedFor: undefined };
  host.on('message', (message) => hear(life, on, message));
  const ticking = setInterval(() => {
    if (!life.silence?.tick(sharedClockMs(), () => isExcused(host.pid)) || life.killedFor) return;
    kill(life, 'it did not answer for 10 s');
  }, TICK_MS);
  host.on('error', (error) => {
    if (host.pid === undefined) say(`cannot start the host process: ${error.message}`);
    // else a signal that came too late; `close` says the rest
  });
  // Not `exit`: that may come before the host's last message has been read.
  host.on('close', (code, signal) => {
    clearInterval(ticking);
    const { announced, killedFor } = life;
    const exitCode = host.pid === undefined ? 1 : (code ?? 128 + constants.signals[signal]);
    const how = host.pid === undefined ? 'it could not be started' : (signal ?? `exit code ${code}`);
    on.ended({
      pid: host.pid,
      exitCode: announced ?? exitCode,
      isAnnounced: announced !== undefined,
      how: killedFor ?? how,
    });
  });
  return {
    send,
    signal: (signal) => {
      if (host.connected) send({ type: 'signal', signal, sentMs: sharedClockMs() });
      else host.kill(signal);
    },
  };
}

/** What a host says of itself. */
function hear(life, on, message) {
  switch (message?.type) {
    case 'beat':
      life.silence ??= createSilence(sharedClockMs());
      life.silence.heard(sharedClockMs());
      return on.heard();
    case 'exiting':
      life.announced = message.exitCode;
      return;
    case 'remember':
      return on.remember(message.memory);
    case 'stopping':
      return on.stopping();
    case 'forgive':
      return on.forgive();
    case 'replace':
      if (on.mayReplace()) return kill(life, message.reason);
      say(`the host asks to be replaced (${message.reason}), and has died too often: it goes on`);
      return life.send({ type: 'kept' });
  }
}

function kill(life, reason) {
  life.killedFor = reason;
  life.host.kill('SIGKILL');
}

/** Stopped, traced, or waiting for a disk: it could not have answered. Where there is no /proc nobody is excused. */
function isExcused(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return 'TtD'.includes(stat.charAt(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

export function say(message) {
  process.stderr.write(`openagent-supervisor: ${message}\n`);
}
