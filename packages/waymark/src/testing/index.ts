export { FakeClock } from './fake-clock.js';
export * from './engine-suite/suite.js';
export * from './checker/index.js';
