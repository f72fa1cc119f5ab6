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
  /** The exit code where the host cannot carry it: it has to end by a signal, or never was there. */
  let announced;
  let killedFor;
  let silence;
  const host = spawn(process.execPath, [hostFile, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  const send = (message) => {
    if (host.connected) host.send(message, () => {}); // fails when the host has just ended: then `close` comes
  };
  const kill = (reason) => {
    killedFor = reason;
    host.kill('SIGKILL');
  };
  host.on('message', (message) => {
    switch (message?.type) {
      case 'beat':
        silence ??= createSilence(sharedClockMs());
        silence.heard(sharedClockMs());
        return on.heard();
      case 'exiting':
        announced = message.exitCode;
        return;
      case 'remember':
        return on.remember(message.memory);
      case 'stopping':
        return on.stopping();
      case 'forgive':
        return on.forgive();
      case 'replace':
        if (on.mayReplace()) kill(message.reason);
        else say(`the host asks to be replaced (${message.reason}), and has died too often: it goes on`);
        return;
    }
  });
  const ticking = setInterval(() => {
    if (!silence?.tick(sharedClockMs(), () => isExcused(host.pid)) || killedFor) return;
    kill('it did not answer for 10 s');
  }, TICK_MS);
  host.on('error', (error) => {
    if (host.pid === undefined) killedFor = `it cannot be started: ${error.message}`;
    // else a signal that came too late; `close` says the rest
  });
  // Not `exit`: that may come before the host's last message has been read.
  host.on('close', (code, signal) => {
    clearInterval(ticking);
    if (host.pid === undefined) say(killedFor);
    on.ended({
      pid: host.pid,
      exitCode: announced ?? (host.pid === undefined ? 1 : (code ?? 128 + constants.signals[signal])),
      isAnnounced: announced !== undefined,
      how: killedFor ?? signal ?? `exit code ${code}`,
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
