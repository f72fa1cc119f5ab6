/** Floor of P1: the same JSON from a bare uWS app. Its body stands in the command line. */
import { createRequire } from 'node:module';

const uws = createRequire(import.meta.url)('uWebSockets.js');
const body = process.argv[2];

uws
  .App()
  .get('/api/health', (res) => {
    res.writeHeader('content-type', 'application/json').end(body);
  })
  .listen('127.0.0.1', 0, (token) => {
    process.stdout.write(`ready ${uws.us_socket_local_port(token)}\n`);
  });
