/** Entry of an agent's thread or process. */
import { openAgent } from './open-agent.ts';
import { connectSupervisor, runWorker } from './run-worker.ts';

connectSupervisor().then(
  (supervisor) => runWorker(supervisor, openAgent),
  (error: unknown) => {
    throw error;
  },
);
