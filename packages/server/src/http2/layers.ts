import { createNodeTransport } from './node-http2.js';
import { createOwnTransport } from './own/transport.js';
import type { CreateTransport } from './transport.js';

/** Who speaks the frames of HTTP/2: Waymark itself, or Node's module. */
export const http2Layers = {
  own: createOwnTransport,
  node: createNodeTransport,
} as const satisfies Record<string, CreateTransport>;

export type Http2Layer = keyof typeof http2Layers;
