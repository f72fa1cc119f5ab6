import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { transportContract } from './transport.contract.ts';

transportContract('node', createNodeTransport, { invalidTextCode: 1007 });
