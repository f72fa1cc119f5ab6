/**
 * Clients that listen to answers as they are spoken, each to one after the other. What counts is the time from the moment
 * at which the provider wrote its first word, which that word says, to its `delta` here.
 *
 *   node delta-load.mjs <port> <clients> <seconds> <capabilities>
 */
import { WebSocket } from 'ws';
import { quantile } from './quantile.mjs';

const [port, clients, seconds, capabilities] = process.argv.slice(2);
const RUN = process.pid;
/** The first answers load what an agent needs for them. */
const WARM_UP_MS = 2_500;
const DELTA = '"type":"delta"';
const FIRST = /"text":"at (\d+) /;
const END = /"type":"(response|error)"/;

let isMeasuring = false;
let delaysMs = [];
let turns = 0;
let failures = 0;
let firstFailure;

function open(number) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { perMessageDeflate: false });
  let asked = 0;
  const ask = () => {
    asked += 1;
    const session_id = `s${RUN}-${number}-${asked}`;
    socket.send(JSON.stringify({ type: 'message', text: 'speak', session_id }));
  };
  socket.on('open', () => {
    const client_id = `bench-${RUN}-${number}`;
    socket.send(JSON.stringify({ type: 'auth', client_id, capabilities: capabilities.split(',') }));
  });
  socket.on('message', (data) => {
    const nowNs = process.hrtime.bigint();
    const text = data.toString('latin1');
    if (text.includes(DELTA)) {
      const [, writtenNs] = FIRST.exec(text) ?? [];
      if (writtenNs !== undefined && isMeasuring) delaysMs.push(Number(nowNs - BigInt(writtenNs)) / 1e6);
      return;
    }
    if (text.includes('"auth_ok"')) return ask();
    const [, end] = END.exec(text) ?? [];
    if (end === undefined) return undefined;
    if (end === 'error') {
      failures += 1;
      firstFailure ??= text;
    }
    if (isMeasuring) turns += 1;
    return ask();
  });
  socket.on('error', (error) => {
    failures += 1;
    firstFailure ??= error.message;
  });
}

for (let at = 1; at <= Number(clients); at += 1) open(at);
setTimeout(() => {
  isMeasuring = true;
  setTimeout(() => {
    delaysMs = Float64Array.from(delaysMs).sort();
    const result = {
      turns,
      samples: delaysMs.length,
      p50Ms: quantile(delaysMs, 0.5),
      p99Ms: quantile(delaysMs, 0.99),
      failures,
      firstFailure,
    };
    process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit());
  }, Number(seconds) * 1000);
}, WARM_UP_MS);
