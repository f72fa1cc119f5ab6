/**
 * One upload after the other, each of so many bytes, until the time is over; what was begun is brought to its end.
 *
 *   node upload-load.mjs <port> <bytes> <seconds>
 */
import { request } from 'node:http';

const [port, bytes, seconds] = process.argv.slice(2);
const BOUNDARY = 'bench-boundary';
const HEAD = Buffer.from(
  `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n`,
);
const TAIL = Buffer.from(`\r\n--${BOUNDARY}--\r\n`);
const PIECE = Buffer.alloc(64 * 1024, 'x');
const endsAt = performance.now() + Number(seconds) * 1000;

let uploads = 0;
let failures = 0;
let firstFailure;
let tookMs = 0;

function upload() {
  const beganAt = performance.now();
  const outgoing = request({
    ...{ port, host: '127.0.0.1', path: '/api/upload', method: 'POST' },
    headers: {
      'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
      'content-length': HEAD.length + Number(bytes) + TAIL.length,
    },
  });
  outgoing.on('response', (response) => {
    let said = '';
    response.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    response.on('end', () => {
      uploads += 1;
      tookMs += performance.now() - beganAt;
      if (response.statusCode !== 200) fail(`${response.statusCode} ${said}`);
      else if (performance.now() < endsAt) upload();
      else end();
    });
  });
  outgoing.on('error', (error) => fail(error.message));
  outgoing.write(HEAD);
  let left = Number(bytes);
  const more = () => {
    while (left > 0) {
      const piece = left >= PIECE.length ? PIECE : PIECE.subarray(0, left);
      left -= piece.length;
      if (!outgoing.write(piece)) return outgoing.once('drain', more);
    }
    return outgoing.end(TAIL);
  };
  more();
}

function fail(why) {
  failures += 1;
  firstFailure ??= why;
  end();
}

function end() {
  const result = { uploads, failures, firstFailure, msEach: tookMs / uploads };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit());
}

upload();
