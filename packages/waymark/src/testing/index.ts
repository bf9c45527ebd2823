export { FakeClock } from './fake-clock.js';
export * from './engine-suite/suite.js';
export * from './checker/index.js';
export {
  recipeCases,
  recipeSuite,
  type RecipeCase,
  type RecipeContext,
} from './recipe-suite/suite.js';
export * from './property-suite/suite.js';
export { Model } from './model.js';
export { SimulatedDisk, type DiskCall, type SimulatedDiskOptions } from './simulated-disk.js';
