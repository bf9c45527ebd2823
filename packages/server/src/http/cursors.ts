import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { WaymarkError } from 'waymark';
import { bytesToText, checkNamespaceName, type Engine, textToBytes } from 'waymark/engine';
import { cursorKey, cursorRange } from '../watchers/keys.js';
import { namespaceOf, resumeFrom } from './inputs.js';

const cursorsMax = 10_000;
const nameForm = /^[\w.-]{1,64}$/;

/**
 * How far readers in band have come, by name, kept on the engine: so whoever comes back, to any server, goes on there. A cursor moves when its reader says that it has
 * something, and never by itself: what was sent and not read comes again.
 */
export class ReaderCursors {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** @returns the id to resume after; null where there is no such cursor yet. @throws {WaymarkError} `invalid` for what is no name */
  async get(namespace: string, name: string): Promise<string | null> {
    const { entries } = await this.#engine.read({ key: keyOf(namespace, name) });
    return entries[0] === undefined ? null : bytesToText(entries[0].value);
  }

  /**
   * Says that the reader has all up to an id. One that is behind where the cursor stands, in the same engine's history, changes nothing.
   *
   * @returns where it stands now
   * @throws {WaymarkError} `invalid` for what is no id, `exhausted` beyond 10 000 in a namespace
   */
  async move(namespace: string, name: string, id: string): Promise<string> {
    const key = keyOf(namespace, name);
    const to = resumeFrom(id);
    for (;;) {
      const { entries } = await this.#engine.read({ key });
      const [entry] = entries;
      if (entry === undefined) await this.#refuseSurplus(namespace);
      const stands = entry === undefined ? null : bytesToText(entry.value);
      const from = stands === null ? null : resumeFrom(stands);
      if (from !== null && from.identity === to.identity && from.after >= to.after) {
        return stands as string;
      }
      const when = { key, target: 'mod', is: '=', to: entry?.modRevision ?? 0 } as const;
      const put = { type: 'put', key, value: textToBytes(id) } as const;
      if ((await this.#engine.commit({ when: [when], apply: [put] })).succeeded) return id;
    }
  }

  /** @returns false when there was none */
  async drop(namespace: string, name: string): Promise<boolean> {
    const key = keyOf(namespace, name);
    const { results } = await this.#engine.commit({ apply: [{ type: 'delete', key }] });
    return results.some((one) => one.type === 'delete' && one.deleted > 0);
  }

  async list(namespace: string): Promise<readonly { name: string; id: string }[]> {
    checkNamespaceName(namespace);
    const range = cursorRange(namespace);
    const { entries } = await this.#engine.read({ ...range, limit: cursorsMax });
    return entries.map(({ key, value }) => ({
      name: bytesToText(key.slice(range.key.length)),
      id: bytesToText(value),
    }));
  }

  async #refuseSurplus(namespace: string): Promise<void> {
    const { count } = await this.#engine.read({ ...cursorRange(namespace), countOnly: true });
    if (count < cursorsMax) return;
    const facts = { limit: 'cursorsMax', max: cursorsMax };
    const message = `${namespace} has ${cursorsMax} cursors: delete those that nobody reads by`;
    throw new WaymarkError('exhausted', message, facts);
  }
}

function keyOf(namespace: string, name: string): string {
  checkNamespaceName(namespace);
  if (nameForm.test(name)) return cursorKey(namespace, name);
  const shown = JSON.stringify(name.slice(0, 80));
  throw new WaymarkError('invalid', `${shown}: a cursor's name is 1 to 64 of A–Z a–z 0–9 _ . -`);
}

const cursor = Type.Object({
  name: Type.String(),
  id: Type.String({ description: 'what to resume after, as `id:` of an event gives it' }),
});
const moveBody = Type.Object({ id: Type.String() }, { additionalProperties: false });

export function cursorRoutes(app: FastifyInstance, cursors: ReaderCursors): void {
  const tags = ['watch'];
  const one = '/v1/ns/:ns/cursors/:name';
  const nameOf = (request: FastifyRequest): string => (request.params as { name: string }).name;
  const missing = (name: string): WaymarkError =>
    new WaymarkError('not_found', `no reader has a cursor '${name}' here`);
  const listAnswer = { 200: Type.Object({ cursors: Type.Array(cursor) }) };
  const list = { tags, summary: 'readers in band, and how far they are', response: listAnswer };
  app.get('/v1/ns/:ns/cursors', { schema: list }, async (request) => ({
    cursors: await cursors.list(namespaceOf(request)),
  }));
  const schema = { tags, response: { 200: cursor } };
  app.get(one, { schema: { ...schema, summary: 'where a reader goes on' } }, async (request) => {
    const name = nameOf(request);
    const id = await cursors.get(namespaceOf(request), name);
    if (id === null) throw missing(name);
    return { name, id };
  });
  const put = { ...schema, body: moveBody, summary: 'the reader has all up to an id' };
  app.put(one, { schema: put }, async (request) => {
    const { id } = request.body as { id: string };
    const name = nameOf(request);
    return { name, id: await cursors.move(namespaceOf(request), name, id) };
  });
  const dropped = { 200: Type.Object({ deleted: Type.Boolean() }) };
  const drop = { tags, summary: 'forget where it was', response: dropped };
  app.delete(one, { schema: drop }, async (request) => ({
    deleted: await cursors.drop(namespaceOf(request), nameOf(request)),
  }));
}
