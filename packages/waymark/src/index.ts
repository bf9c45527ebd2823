export * from './core/errors.js';
export { limits, type LimitName } from './core/limits.js';
export type { Clock, Random } from './core/clock.js';
export * as codecs from './space/codecs.js';
export type * from './space/types.js';
export type * from './space/election-types.js';
export type * from './space/names-types.js';
export { lists, nameLimits, type NameList } from './space/name-lists.js';
export { open, type OpenOptions } from './open.js';
