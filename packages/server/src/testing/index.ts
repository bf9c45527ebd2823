/** Servers for the tests of other people's programs. */
export { type EtcdForTests, startEtcd, type StartEtcdOptions } from './start-etcd.js';
/** What every kind of endpoint holds, and what its tests need. */
export { endpointSuite, type EndpointSuite } from './endpoint-suite.js';
export {
  deliveryOf,
  type EndpointUnderTest,
  eventAt,
  failureOf,
  newStream,
  sequenceAt,
} from './endpoint-suite/ground.js';
export type { WrongUri } from './endpoint-suite/refusals.js';
export { type Gate, startGate } from './gate.js';
export { plainDialer } from './plain-dialer.js';
export { type Received, receivedBeside, receivedDocument } from './received.js';
export * from '../endpoints/endpoint.js';
export { SharedConnections } from '../endpoints/kit/shared-connections.js';
export type { Dialer } from '../endpoints/kit/dialer.js';

/** The store of a storage node, and batches for it. */
export { openStore, type StoreOptions } from '../stash/open-store.js';
export type { StashStore } from '../stash/store.js';
export * from '../stash/testing.js';
