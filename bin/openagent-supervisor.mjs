#!/usr/bin/env node
/**
 * The launcher: starts the host process, passes signals on, exits as the host does. It stays this small because nothing
 * restarts it: whatever can fail lives in the host. Host and launcher share a process group, so a terminal's Ctrl-C
 * reaches both, and the host hears of it twice; it counts them as one by time (src/supervisor/stop-signals.ts).
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const HOST = fileURLToPath(new URL('../dist/host-boot.cjs', import.meta.url));

/** The clock that all processes of a machine share, in milliseconds. */
const sharedClockMs = () => Number(process.hrtime.bigint() / 1_000_000n);

function launch() {
  /** The exit code where the host cannot carry it: it has to end by a signal, or never was there. */
  let announced;
  const host = spawn(process.execPath, [HOST, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  host.on('message', (message) => {
    if (message?.type === 'exiting') announced = message.exitCode;
  });
  host.on('error', (error) => {
    if (host.pid !== undefined) return; // a signal that came too late; `close` says the rest
    announced = 1;
    refuse(`cannot start its host process: ${error.message}`);
  });
  // Not `exit`: that may come before the host's last message has been read.
  host.on('close', (code, signal) => {
    process.exit(announced ?? code ?? 128 + constants.signals[signal]);
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      const message = { type: 'signal', signal, sentMs: sharedClockMs() };
      if (!host.connected) host.kill(signal);
      else host.send(message, () => {}); // fails when the host has just ended: then it needs no signal
    });
  }
}

function refuse(message) {
  process.stderr.write(`openagent-supervisor: ${message}\n`);
  process.exitCode = 1;
}

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  refuse(`Node ${process.versions.node} is too old; install 20.19 or a later one`);
} else if (!existsSync(HOST)) {
  refuse(`${HOST} is missing; build it: npm run build`);
} else {
  launch();
}
