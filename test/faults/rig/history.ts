import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { CommitCall, LoggedChange, WatchRecord } from 'waymark/testing';

import { Child } from './child.js';
import type { ClientsOrder, ClientsReport, WorkOrder } from './clients.js';
import { readLog } from './etcd-log.js';
import { Parts } from './parts.js';
import type { Fault } from './plan.js';
import type { Rig } from './rig.js';

type Answer = { readonly answer: unknown };
type ClientsChild = Child<ClientsOrder, Answer>;

const program = fileURLToPath(new URL('../../dist/faults/rig/clients.js', import.meta.url));

export interface RigHistory {
  readonly fault: Fault;
  readonly calls: readonly CommitCall[];
  readonly log: readonly LoggedChange[];
  /** What each watcher met, or why it met no end. */
  readonly watched: readonly (readonly WatchRecord[] | string)[];
  readonly after: number;
}

export type HistoryWays = Pick<WorkOrder, 'callMs' | 'pauseMs' | 'stale'>;

const processes = 2;
const clientsEach = 4;
/** From the first call to the fault, and from its end to the last call. */
const calmMs = 1_000;

/** Clients in processes of their own, spread over the servers of a rig. */
export class Clients implements AsyncDisposable {
  readonly #rig: Rig;
  readonly #children: readonly ClientsChild[];
  readonly #parts: Parts;

  private constructor(rig: Rig, children: readonly ClientsChild[], parts: Parts) {
    this.#rig = rig;
    this.#children = children;
    this.#parts = parts;
  }

  static async start(rig: Rig, servers = rig.servers): Promise<Clients> {
    await using parts = new Parts();
    const children: ClientsChild[] = [];
    for (let first = 0; first < processes * clientsEach; first += clientsEach) {
      const [child] = await Child.start<ClientsOrder, Answer, string>(rig.outside, program);
      children.push(parts.add(child));
      const urls = Array.from(
        { length: clientsEach },
        (_, index) => servers[(first + index) % servers.length]?.url ?? '',
      );
      await child.ask({ type: 'connect', first, urls });
    }
    return new Clients(rig, children, parts.move());
  }

  /** One history: clients work, the fault comes and goes, and what was recorded is put together. */
  async record(name: string, seed: number, fault: Fault, ways: HistoryWays): Promise<RigHistory> {
    const [leading] = this.#children as readonly [ClientsChild, ...ClientsChild[]];
    const after = (await ask(leading, { type: 'begin', namespace: name })) as number;
    await this.#all({ type: 'work', namespace: name, seed, after, ...ways });
    await sleep(calmMs);
    const end = await this.#rig.begin(fault);
    try {
      await sleep(fault.lastsMs);
    } finally {
      await end();
    }
    await sleep(calmMs);
    await this.#all({ type: 'stop' });
    await this.#rig.etcd.healthy();
    const last = (await ask(leading, { type: 'end' })) as number;
    const reports = (await this.#all({ type: 'report' })).map(
      (text) => JSON.parse(text as string, revive) as ClientsReport,
    );
    return {
      fault,
      after,
      calls: reports.flatMap(({ calls }) => calls).sort((a, b) => a.call - b.call),
      watched: reports.map(({ watched }) => watched),
      log: await readLog(this.#rig.etcd, { namespace: name, after, last }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts[Symbol.asyncDispose]();
  }

  async #all(order: ClientsOrder): Promise<unknown[]> {
    return await Promise.all(this.#children.map((child) => ask(child, order)));
  }
}

async function ask(child: ClientsChild, order: ClientsOrder): Promise<unknown> {
  return (await child.ask(order)).answer;
}

/** JSON has no infinity: a call without an end. */
function revive(key: string, value: unknown): unknown {
  return key === 'ret' && value === null ? Infinity : value;
}
