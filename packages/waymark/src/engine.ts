/** The Engine waist and what an engine needs: for engines, wrappers, suites and servers. */
export * from './core/engine.js';
export type * from './core/host.js';
export * from './core/errors.js';
export * from './core/limits.js';
export * from './core/bytes.js';
export * from './core/ranges.js';
export * from './core/clock.js';
export { systemClock, systemRandom } from './core/system-clock.js';
export { createMemoryEngine, type MemoryEngineOptions } from './engines/memory/memory-engine.js';
