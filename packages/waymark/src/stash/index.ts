/** The stash's own parts: for storage nodes, tools and tests. An application takes `space.stash`. */
export type * from '../core/stash.js';
export * from './hash.js';
export * from './placement.js';
export * from './packed.js';
export * from './node.js';
export * from './node-calls.js';
export * from './hybrid-clock.js';
export {
  announce,
  type Also,
  type AnnouncedNode,
  changeView,
  checkView,
  createView,
  forgetNode,
  readView,
  type SeenView,
  type StashView,
} from './view.js';
export { Known } from './known.js';
export * from './moves.js';
export { moveStatus } from './move-status.js';
export * from './view-watch.js';
export { Coordinator, type CoordinatorOptions } from './coordinator.js';
export { checkIndexName } from './batch.js';
export * from './peer.js';
export * from './peer-calls.js';
export * from './digest-list.js';
export * from './floor-list.js';
export { readQuorumOf, writeQuorumOf } from './routes.js';
export * from './safe-to-stop.js';
export * from './figures-calls.js';
