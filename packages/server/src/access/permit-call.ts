import { type Host, type LeaseId, type RecipeCall, resolvePath } from 'waymark/engine';
import type { Caller } from './caller.js';
import { peerActions } from './principal.js';
import type { Action } from './rules.js';
import { permitStash } from './permit-stash.js';
import { shownWaits } from './shown-explanation.js';
import { permitWatchers } from './permit-watchers.js';

export interface AskedCall<Args, Result> {
  readonly caller: Caller;
  readonly host: Host;
  readonly namespace: string;
  readonly call: RecipeCall<Args, Result>;
  readonly args: Args;
  /** @throws {WaymarkError} `not_found` for a lease that is none of the caller's */
  readonly touch: (lease: LeaseId) => Promise<void>;
  /** @param check  asked first, and again when rules change while the call waits */
  readonly run: (args: Args, check: () => void) => Promise<Result>;
}

/** What each recipe needs on its path. What is not here is root's. */
const needed: Readonly<Record<string, readonly Action[]>> = {
  'once.explain': ['lock', 'read'],
  'semaphore.explain': ['lock', 'read'],
  'election.explain': ['lead', 'read'],
  'group.explain': ['lead', 'send', 'read'],
  'schedule.explain': ['lead', 'read'],
  'messages.deliver': ['send'],
  'streams.push': ['send', 'lead'],
  'streams.pull': ['send', 'lead'],
  'log.append': ['write'],
  'log.retain': ['write'],
  'counter.add': ['write'],
  'counter.set': ['write'],
  'latch.open': ['write'],
};
const neededByAll: Readonly<Record<string, readonly Action[]>> = {
  once: ['lock'],
  semaphore: ['lock'],
  names: ['lock'],
  barrier: ['lock'],
  election: ['lead'],
  group: ['lead'],
  schedule: ['lead'],
  members: ['lead'],
  messages: ['lead'],
  streams: ['lead'],
};

/** What tells what was there before. */
const telling: ReadonlySet<string> = new Set(['counter.add']);

interface Placed {
  readonly path?: string;
  readonly group?: string;
  readonly lease?: LeaseId;
  readonly keeper?: LeaseId | undefined;
  readonly hold?: { readonly path: string } | undefined;
}

/** @throws {WaymarkError} `denied`, `unauthenticated`, `invalid` */
export async function permitCall<Args, Result>(asked: AskedCall<Args, Result>): Promise<Result> {
  const { caller, call, namespace } = asked;
  const [recipe = ''] = call.name.split('.');
  if (recipe === 'watchers') return await permitWatchers(asked);
  if (recipe === 'stash') return await permitStash(asked);
  const any = needed[call.name] ?? neededByAll[recipe];
  const args = canonical(asked.args as Placed);
  const path = args.path ?? args.group;
  const check = (): void => {
    if (peerActions.has(call.name) && caller.isPeer) return;
    if (any === undefined || path === undefined) return caller.demandRoot(call.name);
    caller.demandPath(any, namespace, path);
    if (telling.has(call.name)) caller.demandPath(['read'], namespace, path);
    if (args.hold !== undefined) {
      caller.demandPath(['lock', 'lead', 'write'], namespace, args.hold.path);
    }
  };
  check();
  for (const lease of [args.lease, args.keeper]) {
    if (lease !== undefined && lease !== 0) await asked.touch(lease);
  }
  const told = await asked.run(args as Args, check);
  if (!call.name.endsWith('.explain')) return told;
  return shownWaits(told, (at) => caller.mayPath(['lock', 'lead', 'read'], namespace, at));
}

/** The form that is checked is the form that is used. */
function canonical(args: Placed): Placed {
  const { path, group, hold } = args;
  return {
    ...args,
    ...(path !== undefined && { path: resolvePath('/', path) }),
    ...(group !== undefined && { group: resolvePath('/', group) }),
    ...(hold !== undefined && { hold: { ...hold, path: resolvePath('/', hold.path) } }),
  };
}
