export * from './commit-history.js';
export * from './linearizable.js';
export * from './models.js';
export * from './lock-table.js';
export * from './recorder.js';
export * from './revision-oracle.js';
export * from './watch-rules.js';
