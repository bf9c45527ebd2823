import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { type Counter, isWaymarkError, type Latch, type Space } from 'waymark';
import { durationMs, goneSignal, namespaceOf, pathOf } from './inputs.js';

/** Counters and latches. */

const number = Type.Integer({
  minimum: Number.MIN_SAFE_INTEGER,
  maximum: Number.MAX_SAFE_INTEGER,
});

const counterAnswer = { 200: Type.Object({ value: number }) };

const addBody = Type.Object({ by: Type.Optional(number) }, { additionalProperties: false });

const setBody = Type.Object(
  { value: number, ifValue: Type.Optional(number) },
  { additionalProperties: false },
);

const latchQuery = Type.Object({
  wait: Type.Optional(Type.String({ description: 'wait so long (30s) until it is open' })),
});

export function counterRoutes(app: FastifyInstance, space: Space, stopping: AbortSignal): void {
  const tags = ['counters'];
  const counterOf = (request: FastifyRequest): Counter =>
    space.namespace(namespaceOf(request)).counter(pathOf(request));
  for (const url of ['/v1/ns/:ns/counters', '/v1/ns/:ns/counters/*']) {
    const schema = { tags, response: counterAnswer };
    app.get(url, { schema: { ...schema, summary: 'its value' } }, async (request) => ({
      value: await counterOf(request).get(),
    }));
    app.post(
      url,
      { schema: { ...schema, body: addBody, summary: 'add; 1 unless told' } },
      async (request) => {
        const { by } = request.body as { by?: number };
        return { value: await counterOf(request).add(by) };
      },
    );
    app.put(
      url,
      { schema: { ...schema, body: setBody, summary: 'set, with ifValue only at that value' } },
      async (request) => {
        const { value, ifValue } = request.body as { value: number; ifValue?: number };
        await counterOf(request).set(value, { ifValue });
        return { value };
      },
    );
  }
  latchRoutes(app, space, stopping);
}

function latchRoutes(app: FastifyInstance, space: Space, stopping: AbortSignal): void {
  const tags = ['latches'];
  const latchOf = (request: FastifyRequest): Latch =>
    space.namespace(namespaceOf(request)).latch(pathOf(request));
  for (const url of ['/v1/ns/:ns/latches', '/v1/ns/:ns/latches/*']) {
    app.get(
      url,
      {
        schema: {
          querystring: latchQuery,
          tags,
          summary: 'whether it is open; with wait, once it is',
          response: { 200: Type.Object({ open: Type.Boolean() }) },
        },
      },
      async (request, reply) => {
        const { wait } = request.query as { wait?: string };
        const latch = latchOf(request);
        if (wait === undefined) return { open: await latch.isOpen() };
        const signal = goneSignal(reply, stopping);
        return { open: await opened(latch, durationMs(wait), signal) };
      },
    );
    app.put(
      url,
      {
        schema: {
          tags,
          summary: 'open it, for ever',
          response: { 200: Type.Object({ opened: Type.Boolean({ description: 'by this call' }) }) },
        },
      },
      async (request) => ({ opened: await latchOf(request).open() }),
    );
  }
}

async function opened(latch: Latch, waitMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    await latch.wait({ waitMs, signal });
    return true;
  } catch (error) {
    if (isWaymarkError(error, 'timeout')) return false;
    throw error;
  }
}
