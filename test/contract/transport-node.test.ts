import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { transportContract } from './transport.contract.ts';
import { unreadUploadCase } from './transport-bodies.contract.ts';

transportContract('node', createNodeTransport, { invalidTextCode: 1007 });
unreadUploadCase(createNodeTransport);
