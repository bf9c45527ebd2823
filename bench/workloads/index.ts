import { lmdbBatch, postgresBatch, redisBatch, stashBatch } from './batches.js';
import {
  collectReceipts,
  deliverByHand,
  receiveDeliveries,
  register,
  write,
} from './deliveries.js';
import { bareMap, heapPerKey, heapPerLease, memoryEngine, putBesideWatchers } from './inside.js';
import { fill, holdLeases, load, openLoop } from './load.js';
import { contend } from './locks.js';
import { ask, respond } from './messages.js';
import { collect, long, publish, subscribe } from './watches.js';

/** What a worker can be asked to run, by name. */
export const workloads: Readonly<Record<string, (params: never) => Promise<unknown>>> = {
  load,
  openLoop,
  fill,
  holdLeases,
  contend,
  respond,
  ask,
  subscribe,
  collect,
  publish,
  long,
  receiveDeliveries,
  collectReceipts,
  register,
  deliverByHand,
  write,
  bareMap,
  memoryEngine,
  putBesideWatchers,
  heapPerKey,
  heapPerLease,
  stashBatch,
  redisBatch,
  lmdbBatch,
  postgresBatch,
};
