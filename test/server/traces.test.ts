import { context, trace } from '@opentelemetry/api';
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { open } from 'waymark';
import { loadTracing } from 'waymark/engine';
import { startHttpReceiver } from '../support/http-receiver.js';
import { serve } from './served.js';

const exporter = new InMemorySpanExporter();

beforeEach(() => {
  new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();
});

afterEach(() => {
  exporter.reset();
  trace.disable();
  context.disable();
});

/** Runs `work` within a span of the test's own. @returns its trace */
async function within(work: () => Promise<void>): Promise<string> {
  const tracer = trace.getTracer('test');
  return await tracer.startActiveSpan('test', async (span) => {
    await work();
    span.end();
    return span.spanContext().traceId;
  });
}

/** The spans of a trace as `parent > name` each, by name. */
function treeOf(traceId: string): string[] {
  const spans = exporter.getFinishedSpans().filter((one) => one.spanContext().traceId === traceId);
  const names = new Map(spans.map((one) => [one.spanContext().spanId, one.name]));
  const parent = ({ parentSpanContext: above }: ReadableSpan): string =>
    above === undefined ? 'nothing' : (names.get(above.spanId) ?? 'elsewhere');
  return spans.map((one) => `${parent(one)} > ${one.name}`).sort();
}

test('[traces] one trace from a call of the library through the server and its engine to the delivery', async () => {
  await using receiver = await startHttpReceiver();
  await using served = await serve({ watchers: { allowEndpointNet: ['127.0.0.0/8'] } });
  await using space = await open(served.base);
  const endpoint = `http://127.0.0.1:${receiver.port}/hook`;
  await space.watchers.add({ pattern: '/orders/*', endpoint });
  const traceId = await within(async () => {
    await space.namespace('default').put('/orders/42', 'shipped');
  });
  const heard = await receiver.next();
  const event = JSON.parse(heard.body.toString()) as { traceparent: string; subject: string };
  expect(event.subject).toBe('/orders/42');
  const spanOf = (name: string): ReadableSpan | undefined =>
    exporter
      .getFinishedSpans()
      .find((one) => one.name === name && one.spanContext().traceId === traceId);
  while (spanOf('waymark.deliver') === undefined)
    await new Promise((resolve) => setImmediate(resolve));
  expect(treeOf(traceId)).toEqual([
    'nothing > test',
    'test > waymark.commit',
    'waymark.commit > waymark.commit',
    'waymark.commit > waymark.engine.commit',
    'waymark.engine.commit > waymark.deliver',
  ]);
  const [commit, deliver] = [spanOf('waymark.engine.commit'), spanOf('waymark.deliver')];
  expect(event.traceparent).toBe(`00-${traceId}-${commit?.spanContext().spanId}-01`);
  expect(heard.headers['traceparent']).toBe(`00-${traceId}-${deliver?.spanContext().spanId}-01`);
});

test('[traces] a lock is one trace, with its path; a renewal is none', async () => {
  await using served = await serve();
  await using space = await open(served.base);
  const traceId = await within(async () => {
    const lock = await space.namespace('default').lock('/deploy');
    await lock.release();
  });
  const tree = treeOf(traceId);
  expect(tree).toContain('test > waymark.acquire');
  expect(tree).toContain('waymark.acquire > waymark.engine.commit');
  expect(tree.join()).not.toContain('renew');
  const paths = exporter.getFinishedSpans().map((one) => one.attributes['waymark.path']);
  expect(paths).toContain('/deploy');
});

test('[traces] requests over REST and of etcd’s API go on with the trace they bring', async () => {
  await using served = await serve();
  const [one, other] = ['a'.repeat(32), 'b'.repeat(32)];
  const span = '1234567890abcdef';
  const headers = (traceId: string) => ({ traceparent: `00-${traceId}-${span}-01` });
  await served.call('PUT', '/v1/ns/a/keys/x', { body: '1', headers: headers(one) });
  const body = { key: 'eA==', value: 'eA==' };
  await served.call('POST', '/v3/kv/put', { body, headers: headers(other) });
  await served.call('PUT', '/v1/ns/a/keys/x', { body: '2', headers: { traceparent: 'nonsense' } });
  await served[Symbol.asyncDispose]();
  expect(treeOf(one)).toEqual([
    'PUT /v1/ns/:ns/keys/* > waymark.engine.commit',
    'elsewhere > PUT /v1/ns/:ns/keys/*',
  ]);
  expect(treeOf(other)).toEqual([
    'elsewhere > etcdserverpb.KV/Put',
    'etcdserverpb.KV/Put > waymark.engine.commit',
  ]);
  const roots = exporter.getFinishedSpans().filter((one) => one.parentSpanContext === undefined);
  expect(roots.map((root) => root.name)).toContain('PUT /v1/ns/:ns/keys/*');
});

test('[traces] a call that fails is a span that says why', async () => {
  await using space = await open();
  const ns = space.namespace('default');
  const traceId = await within(async () => {
    await expect(ns.put('/x', 1, { ifRevision: 7 })).rejects.toMatchObject({ code: 'conflict' });
    await expect(ns.get('/x', { at: 99 })).rejects.toMatchObject({ code: 'future_revision' });
  });
  expect(treeOf(traceId)).toContain('waymark.read > waymark.engine.read');
  const read = exporter.getFinishedSpans().find((one) => one.name === 'waymark.read');
  expect(read?.attributes).toMatchObject({
    'waymark.namespace': 'default',
    'waymark.error': 'future_revision',
  });
});

test('[traces] without a provider nothing is loaded, and no trace is told to a server that knows none', async () => {
  trace.disable();
  context.disable();
  expect(await loadTracing()).toBeNull();
  await using served = await serve();
  new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();
  // A client that traces, and a server that does not: it would end the connection for a message that it does not know.
  await using space = await open(served.base);
  const traceId = await within(async () => {
    await space.namespace('default').put('/x', 1);
  });
  expect(treeOf(traceId)).toEqual(['nothing > test', 'test > waymark.commit']);
});
