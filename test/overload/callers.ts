import { Agent, request } from 'node:http';
import { isWaymarkError, open } from 'waymark';
import { KV } from 'waymark/etcd';
import { EtcdApi } from '../etcd/client.js';

/** What the answers of a while came to. */
export interface Answered {
  readonly perSecond: number;
  readonly refused: number;
  /** Of those that were served, ms. */
  readonly median: number;
}

/** Writes once. @returns whether it was served; false: it was refused as too much */
export type Ask = (caller: number, n: number) => Promise<boolean>;

export interface Face extends AsyncDisposable {
  readonly ask: Ask;
}

/** Callers that each ask again as soon as they were answered, whatever the answer was. */
export async function call(ask: Ask, callers: number, forMs: number): Promise<Answered> {
  const began = performance.now();
  const waits: number[] = [];
  let refused = 0;
  const caller = async (name: number): Promise<void> => {
    for (let n = 0; performance.now() - began < forMs; n++) {
      const asked = performance.now();
      if (await ask(name, n)) waits.push(performance.now() - asked);
      else refused++;
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, name) => caller(name)));
  const perSecond = (waits.length * 1_000) / (performance.now() - began);
  waits.sort((a, b) => a - b);
  return { perSecond, refused, median: waits[waits.length >> 1] as number };
}

/** Each caller on a connection of its own. */
export async function restFace(url: string): Promise<Face> {
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  return {
    ask: (caller, n) =>
      new Promise((resolve, reject) => {
        const path = `/v1/ns/etcd/keys/rest/${caller}`;
        const asked = request(url + path, { method: 'PUT', agent }, (response) => {
          const { statusCode, headers } = response;
          response.resume().once('end', () => {
            if (statusCode === 200) resolve(true);
            else if (statusCode === 503 && headers['retry-after'] === '1') resolve(false);
            else reject(new Error(`answered ${statusCode}`));
          });
        });
        asked.once('error', reject);
        asked.end(String(n));
      }),
    [Symbol.asyncDispose]: async () => agent.destroy(),
  };
}

const clients = 8;

/** The binary protocol: the callers share a few connections. */
export async function binaryFace(url: string): Promise<Face> {
  const spaces = await Promise.all(Array.from({ length: clients }, () => open(url)));
  const all = spaces.map((space) => space.namespace('etcd'));
  return {
    ask: async (caller, n) => {
      try {
        await all[caller % clients]?.put(`/binary/${caller}`, n);
        return true;
      } catch (error) {
        if (isWaymarkError(error, 'overloaded')) return false;
        throw error;
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const space of spaces) await space.close();
    },
  };
}

/** etcd's API, the same way. */
export async function grpcFace(url: string): Promise<Face> {
  const all = Array.from({ length: clients }, () => new EtcdApi(new URL(url).host));
  return {
    ask: async (caller, n) => {
      const put = { key: Buffer.from(`grpc ${caller}`), value: Buffer.from(String(n)) };
      try {
        await all[caller % clients]?.call(KV.method.put, put);
        return true;
      } catch (error) {
        if ((error as { code?: number }).code === 8) return false;
        throw error;
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of all) client[Symbol.dispose]();
    },
  };
}
