import { isWaymarkError, open, type Space } from 'waymark';
import { KV } from 'waymark/etcd';
import { EtcdApi } from '../etcd/client.js';
import { startHttpReceiver } from '../support/http-receiver.js';

/** What came and went, by kind. */
export type Churned = Record<string, number>;

type Act = (space: Space, turn: number) => Promise<unknown>;

/**
 * Clients that come and go with all they can have, until `going` says no more. A fault ends it.
 *
 * @param turnMs  from one turn of a kind to its next, at the least: it is there to leave something behind, not to load the server
 */
export async function churn(url: string, turnMs: number, going: () => boolean): Promise<Churned> {
  const churned: Churned = {};
  await using receiver = await startHttpReceiver();
  let [taken, failed] = [0, 0];
  receiver.answer = ({ response }) => {
    response.writeHead(204).end();
    receiver.heard.splice(0, receiver.heard.length - 1);
    taken++;
  };
  const endpoint = `http://127.0.0.1:${receiver.port}/hook`;
  const kinds: Record<string, Act> = {
    watch,
    lease: (space, turn) => lease(space, turn, url),
    lock: (space, turn) => lock(space, turn, url),
    rest: () => restWatch(url),
    etcd: (_space, turn) => etcdCall(url, turn),
    watcher: async (space, turn) => {
      const { watcher } = await space.watchers.add({
        pattern: '/told/*',
        endpoint: `${endpoint}/${turn % 5}`,
      });
      const before = taken;
      while (taken === before) await space.namespace('default').put(`/told/${turn % 10}`, turn);
      await space.watchers.remove(watcher.id);
    },
  };
  const one = async ([kind, act]: [string, Act]): Promise<void> => {
    for (let turn = 0; going(); turn++) {
      const next = new Promise((resolve) => setTimeout(resolve, turnMs));
      await oneTurn(act, `${kind} ${turn}`, turn).then(
        () => (churned[kind] = (churned[kind] ?? 0) + 1),
        (error: unknown) => {
          // A machine that is busy with others lets leases end and connections wait: it is not what is looked at here.
          if (!isWaymarkError(error) || error.code === 'internal') throw error;
          failed++;
        },
      );
      await next;
    }
  };
  const oneTurn = async (act: Act, owner: string, turn: number): Promise<void> => {
    await using space = await open(url, { owner });
    await act(space, turn);
  };
  await Promise.all(Object.entries(kinds).map(one));
  if (failed > 0) console.log(`churn: ${failed} turns failed`);
  return churned;
}

async function watch(space: Space, turn: number): Promise<void> {
  const ns = space.namespace('churn');
  const stop = new AbortController();
  const path = `/watched/${turn % 10}`;
  await ns.put(path, turn);
  for await (const event of ns.watch(path, { signal: stop.signal }))
    if (event.kind === 'put') break;
}

/** Every other one is nobody's, and left to end by itself. */
async function lease(space: Space, turn: number, url: string): Promise<void> {
  if (turn % 2 === 1) {
    const headers = { 'content-type': 'application/json' };
    await fetch(`${url}/v1/leases`, { method: 'POST', headers, body: '{"ttlMs":1000}' });
    return;
  }
  const held = await space.lease(10_000);
  await space.namespace('churn').put(`/leased/${turn % 10}`, turn, { lease: held });
  await held.release();
}

async function lock(space: Space, turn: number, url: string): Promise<void> {
  await using first = await space.namespace('churn').lock(`/locked/${turn % 3}`);
  await using other = await open(url);
  const waiting = other.namespace('churn').lock(`/locked/${turn % 3}`);
  await first.release();
  await (await waiting).release();
}

async function restWatch(url: string): Promise<void> {
  const gone = new AbortController();
  const watched = await fetch(`${url}/v1/ns/churn/watch/rest`, { signal: gone.signal });
  await fetch(`${url}/v1/ns/churn/keys/rest`, { method: 'PUT', body: '1' });
  await watched.body?.getReader().read();
  gone.abort();
}

async function etcdCall(url: string, turn: number): Promise<void> {
  using etcd = new EtcdApi(new URL(url).host);
  const key = Buffer.from(`churned ${turn % 10}`);
  await etcd.call(KV.method.put, { key, value: key });
}
