/** A thread that serves one answer over node:http; `POST` asks for its restart. */
import { createServer } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';

const server = createServer((request, response) => {
  if (request.method === 'POST') parentPort.postMessage('restart');
  response.setHeader('content-type', 'application/json');
  response.end('{"status":"ok"}');
});
server.listen(workerData.port, '127.0.0.1', () => parentPort.postMessage(server.address().port));
