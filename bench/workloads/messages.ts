import type { ClientName } from '../clients/index.js';
import type { Whom } from '../clients/client.js';
import { value100 } from '../harness/pace.js';
import type { Sample } from '../harness/samples.js';
import { clientOf, closedLoop, paced } from './load.js';

interface Subject {
  readonly client: ClientName;
  readonly address: string;
  readonly subject: string;
}

export interface RespondParams extends Subject {
  readonly connections: number;
  /** On all connections together. */
  readonly responders: number;
}

/** Resolves once all of them answer; they do so until the worker ends. */
export async function respond(params: RespondParams): Promise<void> {
  const { client, address, subject, connections, responders } = params;
  for (let index = 0; index < connections; index++) {
    const connection = await clientOf(client, address, index);
    if (connection.respond === undefined) throw new Error(`${client} cannot respond`);
    await connection.respond(subject, responders / connections);
  }
}

export interface AskParams extends Subject {
  readonly whom: Whom;
  readonly seconds: number;
  /** So many callers, each asks anew when it has its answer. The value is answers a second. */
  readonly inFlight?: number;
  /** Or so many a second, on a schedule. The value is the p50 from question to answer, ms. */
  readonly perSecond?: number;
}

const askers = new Map<string, Promise<(body: string) => Promise<unknown>>>();

export async function ask(params: AskParams): Promise<Sample> {
  const { seconds, perSecond, inFlight = 1 } = params;
  const asker = await askerOf(params);
  const once = (): Promise<unknown> => asker(value100);
  if (perSecond === undefined) return await closedLoop({ inFlight, seconds }, () => once);
  // A pace is too slow for code to be compiled: without this it is Node's interpreter that is measured, on three processes.
  await closedLoop({ inFlight, seconds: 0.5 }, () => once);
  const summary = await paced({ perSecond, seconds }, once);
  return { value: summary.p50, ...summary };
}

async function askerOf(params: AskParams): Promise<(body: string) => Promise<unknown>> {
  const { client, address, subject, whom } = params;
  const { asker } = await clientOf(client, address);
  if (asker === undefined) throw new Error(`${client} cannot ask`);
  const name = `${client} ${address} ${subject} ${whom}`;
  const ready = askers.get(name) ?? asker(subject, whom);
  askers.set(name, ready);
  return await ready;
}
