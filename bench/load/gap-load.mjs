/**
 * What a client sees of restarts: one request after the other on a connection of its own, and the longest time between
 * two good answers around each `POST /api/restart`.
 *
 *   node gap-load.mjs <port> <restarts>
 */
import { request } from 'node:http';

const [port, restarts] = process.argv.slice(2).map(Number);
/** Both sides of a restart are watched this long; its gap ends within, or the bench says so. */
const WATCH_MS = 1_500;
const PAUSE_MS = 300;

function ask(method, path) {
  return new Promise((resolve) => {
    const asked = request(
      { host: '127.0.0.1', port, method, path, agent: false, timeout: 2_000 },
      (response) => {
        response.resume();
        response.once('end', () => resolve(response.statusCode === 200 || response.statusCode === 202));
        response.once('error', () => resolve(false));
      },
    );
    asked.once('error', () => resolve(false));
    asked.once('timeout', () => asked.destroy());
    asked.end();
  });
}

const pause = (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs));

/** From the last good answer to the first one after it, where they are furthest apart. */
async function measureGap() {
  const end = performance.now() + WATCH_MS;
  let [last, longest, isAsked] = [performance.now(), 0, false];
  while (performance.now() < end) {
    if (!isAsked && performance.now() > end - WATCH_MS + 100) {
      isAsked = true;
      void ask('POST', '/api/restart'); // not awaited: its connection may die with the agent
    }
    if (!(await ask('GET', '/api/health'))) {
      await pause(1);
      continue;
    }
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }
  if (performance.now() - last > WATCH_MS / 2) throw new Error('The agent did not answer again');
  return longest;
}

const gapsMs = [];
for (let at = 0; at < restarts; at += 1) {
  gapsMs.push(await measureGap());
  await pause(PAUSE_MS);
}
process.stdout.write(`${JSON.stringify({ gapsMs })}\n`);
