export { startServer, type RunningServer } from './server.js';
export type { ServerOptions } from './server-options.js';
