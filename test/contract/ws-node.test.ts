import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { wsContract } from './ws.contract.ts';

wsContract('node', createNodeTransport);
