/**
 * A closed loop of `GET` over raw sockets, in a process of its own. Requests are written `depth` at a time, so that the
 * client's part of the work stays small: it is the server that has to be the slower one.
 *
 *   node http-load.mjs <port> <path> <connections> <depth> <seconds>
 */
import { connect } from 'node:net';

const [port, path, connections, depth, seconds] = process.argv.slice(2);
const WARM_UP_MS = 1_000;
const batch = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`.repeat(Number(depth));
const STATUS_OK = Buffer.from('HTTP/1.1 200');
const STATUS = Buffer.from('HTTP/1.1 ');

let answers = 0;
let failures = 0;

function countOf(chunk, mark) {
  let count = 0;
  for (let at = chunk.indexOf(mark); at !== -1; at = chunk.indexOf(mark, at + mark.length)) count += 1;
  return count;
}

function open() {
  const socket = connect(Number(port), '127.0.0.1');
  let waiting = Number(depth);
  socket.setNoDelay(true);
  socket.on('connect', () => socket.write(batch));
  socket.on('data', (chunk) => {
    const ok = countOf(chunk, STATUS_OK);
    const all = countOf(chunk, STATUS);
    answers += ok;
    failures += all - ok;
    waiting -= all;
    if (waiting > 0) return;
    waiting += Number(depth);
    socket.write(batch);
  });
  socket.on('error', () => {
    failures += 1;
  });
}

for (let at = 0; at < Number(connections); at += 1) open();
setTimeout(() => {
  const [before, startedAt, cpu] = [answers, performance.now(), process.cpuUsage()];
  setTimeout(() => {
    const elapsedSeconds = (performance.now() - startedAt) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const result = {
      perSecond: (answers - before) / elapsedSeconds,
      failures,
      clientCpu: (user + system) / 1e6 / elapsedSeconds,
    };
    process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit());
  }, Number(seconds) * 1000);
}, WARM_UP_MS);
