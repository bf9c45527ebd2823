import type { FastifyInstance, FastifyRequest } from 'fastify';
import {
  type SharingMode,
  type WatcherChange,
  WaymarkError,
  type WatcherListCall,
  type WatcherWish,
} from 'waymark';
import { goneSignal } from './inputs.js';
import { streamWatch } from './sse.js';
import type { WatchParts } from './streams.js';
import { watcherAnswers as answers, watcherInputs as inputs } from './watcher-schemas.js';

/** Registered watches. What is asked for is looked at by the registry itself: the schemas here tell of it. */

const tags = ['watchers'];
const root = '/v1/watchers';
const one = '/v1/watchers/:id';

export function watcherRoutes(app: FastifyInstance, parts: WatchParts): void {
  registryRoutes(app, parts);
  sharingRoutes(app, parts);
  keyRoutes(app, parts);
  eventRoute(app, parts);
  watcherRoute(app, parts);
  verbRoutes(app, parts);
  letterRoutes(app, parts);
}

function registryRoutes(app: FastifyInstance, { space, stopping }: WatchParts): void {
  const { watchers } = space;
  const adding = { body: inputs.wish, tags, summary: 'register a watch', response: answers.added };
  app.post(root, { schema: adding }, async (request, reply) => {
    const signal = goneSignal(reply, stopping);
    const added = await watchers.add(request.body as WatcherWish, { signal });
    return await reply.code(added.created ? 201 : 200).send(added);
  });
  const listing = {
    querystring: inputs.list,
    tags,
    summary: 'watchers, by their ids',
    response: answers.page,
  };
  app.get(root, { schema: listing }, async (request, reply) => {
    const signal = goneSignal(reply, stopping);
    return await watchers.list({ ...(request.query as WatcherListCall), signal });
  });
  const removing = {
    querystring: inputs.label,
    tags,
    summary: 'remove all that have a label',
    response: answers.count,
  };
  app.delete(root, { schema: removing }, async (request) => {
    const { label } = request.query as { label: string };
    return { count: await watchers.removeLabelled(label) };
  });
}

function sharingRoutes(app: FastifyInstance, { space }: WatchParts): void {
  const { watchers } = space;
  const processors = { tags, summary: 'who delivers', response: answers.processors };
  app.get(`${root}/processors`, { schema: processors }, async () => ({
    processors: await watchers.processors(),
  }));
  const mode = { tags, summary: 'how endpoints are shared out', response: answers.mode };
  app.get(`${root}/mode`, { schema: mode }, async () => await watchers.mode());
  const setting = { ...mode, body: inputs.mode, summary: 'share endpoints out in another way' };
  app.put(`${root}/mode`, { schema: setting }, async (request) => {
    await watchers.setMode(request.body as SharingMode);
    return await watchers.mode();
  });
}

function keyRoutes(app: FastifyInstance, { space, stopping }: WatchParts): void {
  const { watchers } = space;
  const keys = {
    tags,
    summary: 'the keys that encrypt secrets of endpoints',
    response: answers.keys,
  };
  app.get(`${root}/keys`, { schema: keys }, async (_request, reply) => {
    return await watchers.secretsKeys({ signal: goneSignal(reply, stopping) });
  });
  const resealing = { tags, summary: 'encrypt them with the newest key', response: answers.count };
  app.post(`${root}/keys/reseal`, { schema: resealing }, async (_request, reply) => ({
    count: await watchers.reseal({ signal: goneSignal(reply, stopping) }),
  }));
}

function eventRoute(app: FastifyInstance, parts: WatchParts): void {
  const schema = {
    querystring: inputs.events,
    tags,
    summary: 'what becomes of watchers, as it happens',
    response: answers.events,
  };
  app.get(`${root}/events`, { schema }, async (request, reply) => {
    const { after } = request.query as { after?: string };
    const last = request.headers['last-event-id'];
    const from = after ?? (typeof last === 'string' ? last : undefined);
    const watch = (signal: AbortSignal) => parts.space.watchers.events({ after: from, signal });
    return await streamWatch(reply, parts, 'watcher', watch, ({ id }) => id);
  });
}

function watcherRoute(app: FastifyInstance, { space }: WatchParts): void {
  const { watchers } = space;
  const get = { tags, summary: 'a watcher, and how it goes', response: answers.watcher };
  app.get(one, { schema: get }, async (request) => {
    const id = idOf(request);
    const found = await watchers.get(id);
    if (found !== null) return found;
    throw new WaymarkError('not_found', `there is no watcher ${id}`);
  });
  const patch = { ...get, body: inputs.change, summary: 'change it' };
  app.patch(
    one,
    { schema: patch },
    async (request) => await watchers.change(idOf(request), request.body as WatcherChange),
  );
  const remove = { tags, summary: 'remove it', response: answers.removed };
  app.delete(one, { schema: remove }, async (request) => ({
    removed: await watchers.remove(idOf(request)),
  }));
}

function verbRoutes(app: FastifyInstance, { space, stopping }: WatchParts): void {
  const { watchers } = space;
  const response = answers.watcher;
  const pause = { tags, summary: 'let it stand still', response };
  app.post(`${one}/pause`, { schema: pause }, (request) => watchers.pause(idOf(request)));
  const resume = { tags, summary: 'go on: what it missed comes first', response };
  app.post(`${one}/resume`, { schema: resume }, (request) => watchers.resume(idOf(request)));
  const replay = { body: inputs.replay, tags, summary: 'tell what came after once more', response };
  app.post(`${one}/replay`, { schema: replay }, async (request) => {
    const { after } = request.body as { after: 'beginning' | number };
    return await watchers.replay(idOf(request), { after });
  });
  const testing = { tags, summary: 'deliver a probe', response: answers.tested };
  app.post(
    `${one}/test`,
    { schema: testing },
    async (request, reply) =>
      await watchers.test(idOf(request), { signal: goneSignal(reply, stopping) }),
  );
}

function letterRoutes(app: FastifyInstance, { space }: WatchParts): void {
  const { watchers } = space;
  const url = `${one}/dead-letters`;
  const read = {
    querystring: inputs.letters,
    tags,
    summary: "its endpoint's deliveries that were given up",
    response: answers.letters,
  };
  app.get(url, { schema: read }, async (request) => {
    const query = request.query as { limit?: number; after?: string };
    return await watchers.deadLetters(idOf(request), query);
  });
  const drop = { tags, summary: 'drop them', response: answers.count };
  app.delete(url, { schema: drop }, async (request) => ({
    count: await watchers.dropDeadLetters(idOf(request)),
  }));
  const replay = { ...drop, summary: 'tell them again, oldest first' };
  app.post(`${url}/replay`, { schema: replay }, async (request) => ({
    count: await watchers.replayDeadLetters(idOf(request)),
  }));
}

function idOf(request: FastifyRequest): string {
  return (request.params as { id: string }).id;
}
