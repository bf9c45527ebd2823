export * from './core/errors.js';
export type * from './space/types.js';
