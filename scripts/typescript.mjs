/**
 * `node --import ./scripts/typescript.mjs`: runs the TypeScript of this project as the suite wants it. tsx does the same
 * and more, for a quarter of a second of each process, and the suite is some two hundred processes.
 */
import * as nodeModule from 'node:module';
import { load } from './typescript-hooks.mjs';

process.setSourceMapsEnabled(true);
// Node 20 runs hooks in a thread of their own; newer ones can do without.
if (nodeModule.registerHooks) nodeModule.registerHooks({ load });
else nodeModule.register('./typescript-hooks.mjs', import.meta.url);
