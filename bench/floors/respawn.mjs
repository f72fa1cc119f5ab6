/** Floor of P6: one bare thread, ended and started again on the same port when asked to. */
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const entry = fileURLToPath(new URL('thread.mjs', import.meta.url));

function start(port, isFirst) {
  const worker = new Worker(entry, { workerData: { port } });
  worker.on('message', (message) => {
    if (message === 'restart') worker.terminate().then(() => start(port, false));
    else if (isFirst) {
      process.stdout.write(`ready ${message}\n`);
      port = message;
    }
  });
}

start(0, true);
