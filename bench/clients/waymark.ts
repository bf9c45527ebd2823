import { codecs, type Members, open, type Reply } from 'waymark';
import { openEngine } from 'waymark/engine';
import { type Client, scatteredTo, type Whom } from './client.js';

/** `http://host:port`, `unix:/path`, `memory:` or `file:DIR`: through a namespace, as an application would. */
export async function connectWaymark(url: string): Promise<Client> {
  const space = await open(url);
  const namespace = space.namespace<string>('bench', { codec: codecs.text });
  return {
    put: (key, value) => namespace.put(key, value),
    get: (key) => namespace.get(key),
    cas: async (key, value, expected) =>
      (await namespace.put(key, value, { ifRevision: (expected as number | undefined) ?? 0 }))
        .revision,
    lock: async (name) => {
      const lock = await namespace.lock(name);
      return () => lock.release();
    },
    elect: async (name) => {
      const term = await namespace.election(name).campaign();
      return () => term.release();
    },
    permit: async (name) => {
      const permit = await namespace.semaphore(name, { limit: 1 }).acquire();
      return () => permit.release();
    },
    publish: (topic, value) => namespace.put(topic, value),
    subscribe: async (topic, watchers, told) => {
      for (let watcher = 0; watcher < watchers; watcher++) {
        const events = namespace.watch(topic, { locks: false });
        // The initial entry tells that the watch stands.
        await events.next();
        events
          .forEach((event) => {
            if (event.kind === 'put') told(watcher, event.value, event.revision);
          })
          .catch(() => undefined);
      }
    },
    respond: async (subject, responders) => {
      const handle = ({ body }: { readonly body: unknown }): unknown => body;
      for (let responder = 0; responder < responders; responder++) {
        const member = await namespace.members(subject).join({ handle, lead: responders === 1 });
        if (responders === 1) await member.elected();
      }
    },
    asker: async (subject, whom) => askerOf(namespace.members(subject), whom),
    close: () => space.close(),
  };
}

async function askerOf(group: Members, whom: Whom): Promise<(body: string) => Promise<unknown>> {
  const leader = await group.leader();
  const self = await group.join();
  if (whom === 'leader') return async (body) => delivered(await self.send(body));
  const member = leader?.member.id ?? '';
  if (whom === 'member') return async (body) => delivered(await self.sendTo(member, body));
  return async (body) => {
    let answers = 0;
    for await (const reply of self.broadcast(body, { skipSelf: true })) {
      delivered(reply);
      answers++;
    }
    if (answers !== scatteredTo) throw new Error(`${answers} answers`);
  };
}

function delivered(reply: Reply): unknown {
  if (reply.outcome === 'delivered') return reply.value;
  throw new Error(`${reply.outcome}: ${reply.why}`);
}

/** One key a call of an index of the stash. */
export async function connectWaymarkStash(url: string): Promise<Client> {
  const space = await open(url);
  const index = space.stash.index<string>('one by one', { codec: codecs.text });
  return {
    put: (key, value) => index.put(key, value),
    get: (key) => index.get(key),
    close: () => space.close(),
  };
}

/** Raw engine verbs, over a server or in this process: what leases are compared by. */
export async function connectWaymarkEngine(url: string): Promise<Client> {
  const engine = await openEngine(url);
  return {
    put: (key, value) => engine.commit({ apply: [{ type: 'put', key, value }] }),
    get: (key) => engine.read({ key }),
    grant: async () => (await engine.grant(600_000)).id,
    renew: (id) => engine.renew(Number(id)),
    leaseCount: async () => (await engine.status()).leases,
    close: async () => engine[Symbol.asyncDispose](),
  };
}
