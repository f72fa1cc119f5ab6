/**
 * Chat turns at a pace, one client per port, whatever became of the turns before: what a client waits for while an agent
 * does not answer is counted in full. Whoever is cut off comes back; its turns under way are counted in `lost`. Runs
 * until its standard input ends, then prints every turn: index of its port, when it was sent on the clock of
 * `process.hrtime`, and how long it took.
 *
 *   node paced-load.mjs <turns per second and port> <port>…
 */
import { WebSocket } from 'ws';

const [rate, ...ports] = process.argv.slice(2).map(Number);
const RUN = process.pid;
const COME_BACK_MS = 100;
const PERIOD_MS = 1_000 / rate;

const turns = [];
const lost = ports.map(() => 0);
let failures = 0;
let firstFailure;

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
const message = JSON.stringify({ type: 'message', text: 'hi', session_id: `s${RUN}` });

function open(at) {
  const socket = new WebSocket(`ws://127.0.0.1:${ports[at]}/ws`, { perMessageDeflate: false });
  /** Answers of one session come in order. */
  const sentMs = [];
  let timer;
  socket.on('open', () => socket.send(JSON.stringify({ type: 'auth', client_id: `bench-${RUN}-${at}` })));
  socket.on('message', (data) => {
    const text = data.toString('latin1');
    if (text.includes('"auth_ok"')) {
      timer = setInterval(() => {
        sentMs.push(nowMs());
        socket.send(message);
      }, PERIOD_MS);
    } else if (/"type":\s?"response"/.test(text)) {
      const sent = sentMs.shift();
      // What was under way when it was cut off is answered here; nobody counts it twice.
      if (sent !== undefined) turns.push([at, sent, nowMs() - sent]);
    } else if (/"type":\s?"(error|auth_error)"/.test(text)) {
      failures += 1;
      firstFailure ??= text;
    }
  });
  socket.on('error', () => {}); // 'close' follows
  socket.on('close', () => {
    clearInterval(timer);
    lost[at] += sentMs.length;
    setTimeout(() => open(at), COME_BACK_MS);
  });
}

// Spread over a period: clients know nothing of each other.
ports.forEach((_, at) => {
  setTimeout(() => open(at), (PERIOD_MS * at) / ports.length);
});
process.stdin.resume().once('end', () => {
  const used = process.cpuUsage();
  const cpu = (used.user + used.system) / 1e6 / process.uptime();
  process.stdout.write(`${JSON.stringify({ turns, lost, failures, firstFailure, cpu })}\n`, () =>
    process.exit(),
  );
});
