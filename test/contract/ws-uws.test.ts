import { test } from 'node:test';
import { requireInstalledUws } from '../../src/gateway/transports/load.ts';
import { createUwsTransport } from '../../src/gateway/transports/uws.ts';
import type { Uws } from '../../src/gateway/transports/uws-types.ts';
import { wsContract } from './ws.contract.ts';

const [uws, why] = load();

if (uws) wsContract('uws', createUwsTransport(uws));
else test('the WebSocket contract over uws', { skip: `uWebSockets.js does not load here: ${why}` }, () => {});

function load(): [Uws | undefined, string] {
  try {
    return [requireInstalledUws(), ''];
  } catch (error) {
    return [undefined, String(error).split('\n')[0] ?? ''];
  }
}
