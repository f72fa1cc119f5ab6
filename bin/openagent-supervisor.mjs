#!/usr/bin/env node
/**
 * What is typed: checks that this Node will do and that there is something to run, then leaves the host process to the
 * watchdog; or becomes that process itself, with `--no-watchdog`, for service managers that do the watching, and for
 * commands that run no agents: they should be there at once.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const HOST = fileURLToPath(new URL('../dist/host-boot.cjs', import.meta.url));

async function main() {
  const args = process.argv.slice(2);
  const end = args.indexOf('--');
  const options = end < 0 ? args : args.slice(0, end);
  const { isCommand } = await import('./commands.mjs');
  if (isCommand(args[0]) || options.includes('--no-watchdog')) createRequire(import.meta.url)(HOST);
  else (await import('./watchdog.mjs')).watch(HOST, args);
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
  await main();
}
