/**
 * The WebSocket protocol as clients see it, over a real port with the real turns and journal. Every transport must pass
 * it unchanged: a client must not be able to tell which one it talks to.
 */
import { describe } from 'node:test';
import type { TransportFactory } from '../../src/gateway/transport.ts';
import { accessCases } from './ws-access.contract.ts';
import { authCases } from './ws-auth.contract.ts';
import { deliveryCases } from './ws-delivery.contract.ts';
import { frameCases } from './ws-frames.contract.ts';
import { fuzzCases } from './ws-fuzz.contract.ts';
import { limitCases } from './ws-limits.contract.ts';
import { turnCases } from './ws-turns.contract.ts';

export function wsContract(name: string, factory: TransportFactory): void {
  describe(`${name}: who may connect`, () => accessCases(factory));
  describe(`${name}: authentication`, () => authCases(factory));
  describe(`${name}: frames`, () => frameCases(factory));
  describe(`${name}: turns and commands`, () => turnCases(factory));
  describe(`${name}: limits`, () => limitCases(factory));
  describe(`${name}: delivery`, () => deliveryCases(factory));
  describe(`${name}: arbitrary frames`, () => fuzzCases(factory));
}
