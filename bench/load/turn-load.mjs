/**
 * Chat turns in a closed loop over raw WebSockets, in a process of its own. Frames are made once, with a mask of zeros,
 * and answers are only looked through for their type: the server has to be the slower one.
 *
 *   node turn-load.mjs <port> <clients> <seconds>
 */
import { connect } from 'node:net';
import { quantile } from './quantile.mjs';

const [port, clients, seconds] = process.argv.slice(2);
/** A client that returns is told what it missed; these are new ones in every run. */
const RUN = process.pid;
const WARM_UP_MS = 1_000;
const RESPONSE = /"type":\s?"response"/g;
const FAILURE = /"type":\s?"(error|auth_error|queued)"/;
/** Longer than any of the marks, shorter than two of them: a mark split over two chunks is still found once. */
const CARRY = 17;

let isMeasuring = false;
let latenciesMs = [];
let failures = 0;
let firstFailure;

/** A client's text frame below 64 KiB. */
function frame(value) {
  const payload = Buffer.from(JSON.stringify(value));
  const isShort = payload.length < 126;
  const head = Buffer.alloc(isShort ? 6 : 8); // the last four bytes are the mask
  head[0] = 0x81;
  head[1] = 0x80 | (isShort ? payload.length : 126);
  if (!isShort) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

function open(number) {
  const socket = connect(Number(port), '127.0.0.1');
  const message = frame({ type: 'message', text: 'hi', session_id: `s${RUN}-${number}` });
  let state = 'connecting';
  let carry = '';
  let sentAt = 0;
  const ask = () => {
    sentAt = performance.now();
    socket.write(message);
  };
  socket.setNoDelay(true);
  socket.on('connect', () => {
    const lines = [
      'GET /ws HTTP/1.1',
      `Host: 127.0.0.1:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
    ];
    const key = Buffer.alloc(16, number).toString('base64');
    socket.write([...lines, 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`, '', ''].join('\r\n'));
  });
  socket.on('data', (chunk) => {
    const text = carry + chunk.latin1Slice();
    if (FAILURE.test(text)) {
      failures += 1;
      firstFailure ??= text;
    }
    if (state === 'connecting' && text.includes('\r\n\r\n')) {
      state = 'authenticating';
      socket.write(frame({ type: 'auth', token: '', client_id: `bench-${RUN}-${number}` }));
    } else if (state === 'authenticating' && text.includes('"auth_ok"')) {
      state = 'chatting';
      ask();
    } else if (state === 'chatting' && text.search(RESPONSE) !== -1) {
      if (isMeasuring) latenciesMs.push(performance.now() - sentAt);
      carry = '';
      ask();
      return;
    }
    carry = state === 'chatting' ? text.slice(-CARRY) : state === 'connecting' ? text : '';
  });
  socket.on('error', (error) => {
    failures += 1;
    firstFailure ??= error.message;
  });
}

for (let at = 1; at <= Number(clients); at += 1) open(at);
setTimeout(() => {
  isMeasuring = true;
  const [startedAt, cpu] = [performance.now(), process.cpuUsage()];
  setTimeout(() => {
    const elapsedSeconds = (performance.now() - startedAt) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    latenciesMs = Float64Array.from(latenciesMs).sort();
    const result = {
      perSecond: latenciesMs.length / elapsedSeconds,
      p50Ms: quantile(latenciesMs, 0.5),
      p99Ms: quantile(latenciesMs, 0.99),
      failures,
      firstFailure,
      clientCpu: (user + system) / 1e6 / elapsedSeconds,
    };
    process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit());
  }, Number(seconds) * 1000);
}, WARM_UP_MS);
