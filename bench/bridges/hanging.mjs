/**
 * Hangs its agent as the file `order` in the agent's directory says, after which the order is removed. Each kind stands
 * in a function of its own, so that an incident can name it.
 */
import { readFileSync, rmSync } from 'node:fs';

const ORDER = new URL('../order', import.meta.url);
const POLL_MS = 20;

const HANGS = {
  loop: function endlessLoop() {
    for (;;);
  },
  promises: function endlessPromises() {
    return Promise.resolve().then(endlessPromises);
  },
};

// biome-ignore lint/style/noDefaultExport: what a bridge module must have.
export default class Hanging {
  run(signal) {
    const timer = setInterval(() => this.obey(), POLL_MS);
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        clearInterval(timer);
        resolve();
      });
    });
  }

  obey() {
    let kind;
    try {
      kind = readFileSync(ORDER, 'utf8');
    } catch {
      return; // no order
    }
    rmSync(ORDER);
    HANGS[kind]();
  }
}
