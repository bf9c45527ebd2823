/** For those who receive what watchers send to HTTP and WebSocket endpoints: docs/guide/receiving.md. */
export { createReceiver, type FastifyScope, type Receiver } from './serve.js';
export type { ReceiverOptions, StreamGap, Taken } from './receiver.js';
export { verify, type VerifiedWebhook, type VerifyOptions } from './verify.js';
export type { WebhookHeaders } from './headers.js';
export type { ReceivedEvent } from './read-events.js';
export { memoryStore, type ReceiverStore, type StreamPosition } from './store.js';
export * from './websocket.js';
export { isWaymarkError, WaymarkError } from '../core/errors.js';
