/** Floor of P4 and P5: as many bare threads as the command line says, each with a port. */
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const count = Number(process.argv[2]);
const entry = fileURLToPath(new URL('thread.mjs', import.meta.url));
let ready = 0;

for (let at = 0; at < count; at += 1) {
  new Worker(entry, { workerData: { port: 0 } }).once('message', () => {
    ready += 1;
    if (ready === count) process.stdout.write('ready 0\n');
  });
}
