/** The one definition of the binary protocol, shared by the remote engine and the server. */
export * from './frames.js';
export * from './messages.js';
export * from './hello.js';
export { writeError, readError } from './errors.js';
export { Reader, malformed } from './reader.js';
export { Writer } from './writer.js';
export type { Method } from './method.js';
export { engineMethods, type GrantArgs, type WatchArgs } from './engine-methods.js';
export { hostMethods, type HostCommitArgs } from './host-methods.js';
export type { HoldArgs } from './hold-codec.js';
export { recipeMethod, type RecipeArgs } from './recipe-methods.js';
export * from './query-codec.js';
export { readOutcome, readTxn, writeOutcome, writeTxn } from './txn-codec.js';
export { readBatch, readChange, writeChange } from './batch-codec.js';
