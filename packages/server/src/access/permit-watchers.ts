import {
  bytesToText,
  type Host,
  resolvePath,
  type WatcherAdded,
  watcherCalls,
  WaymarkError,
  type WatcherInfo,
  type WatcherListCall,
  type WatcherPage,
} from 'waymark/engine';
import { isWatcherId, readLimit } from '../watchers/desk-list.js';
import { readPattern } from '../watchers/glob.js';
import type { RegistrationAsk } from '../watchers/wishes.js';
import type { Caller } from './caller.js';
import type { AskedCall } from './permit-call.js';

/** What is done with one watcher. */
const ofOne: ReadonlySet<string> = new Set(['get', 'remove', 'pause', 'resume']);
/** The registry: a watcher is its owner's who may register such below the path that its pattern begins with. Other watchers are not there. */
export async function permitWatchers<Args, Result>(
  asked: AskedCall<Args, Result>,
): Promise<Result> {
  const { caller, call, args, run } = asked;
  const verb = call.name.slice('watchers.'.length);
  if (caller.unlimited) return await run(args, () => void caller.authenticate());
  const ask = askOf(args);
  const free = (): void => void caller.authenticate({ action: call.name });
  if (verb === 'add') return await add(asked, ask);
  if (verb === 'list') return (await list(asked, ask, free)) as Result;
  // Also what is done with an endpoint: it tells what it was told, which may be by watchers of others, some of them gone.
  if (!ofOne.has(verb)) {
    return await run(args, () => caller.demandRoot(call.name));
  }
  free();
  const found = await watcherOf(asked.host, String(ask.id));
  const may = found !== null && mayWatcher(caller, found);
  if (!may && verb === 'get') return null as Result;
  if (!may && verb === 'remove') return false as Result;
  if (!may) throw new WaymarkError('not_found', `there is no watcher ${String(ask.id)}`);
  const came = await run(args, () => {
    if (!mayWatcher(caller, found)) throw caller.denied({ action: call.name });
  });
  if (verb === 'remove' || came === null) return came;
  const [shown] = await ownFigures(asked, [came as WatcherInfo]);
  return shown as Result;
}

/** What an endpoint was told in all tells of others' watchers: it is for who may see every one of them. */
async function ownFigures(
  { caller, host }: Pick<AskedCall<unknown, unknown>, 'caller' | 'host'>,
  infos: readonly WatcherInfo[],
): Promise<readonly WatcherInfo[]> {
  const seesAll = new Map<string, boolean>();
  for (const { id } of infos) {
    if (seesAll.has(id)) continue;
    const all = await sharing(host, id);
    const may = all.every((one) => mayWatcher(caller, one));
    for (const one of all) seesAll.set(one.id, may);
  }
  return infos.map((info) => {
    // One that went meanwhile may have left others.
    if (seesAll.get(info.id) === true) return info;
    const untold = { delivered: null, perSecond: null, deadLetters: null };
    return { ...info, delivery: { ...info.delivery, ...untold } };
  });
}

/** All watchers of a watcher's endpoint. */
async function sharing(host: Host, id: string): Promise<readonly WatcherInfo[]> {
  const found: WatcherInfo[] = [];
  for (;;) {
    const ask = JSON.stringify({ endpoint: id, after: found.at(-1)?.id });
    const page: WatcherPage = await host.run(watcherCalls.list, 'default', { ask });
    found.push(...page.watchers);
    if (!page.more || page.watchers.length === 0) return found;
  }
}

type WatcherAsk = Partial<RegistrationAsk> &
  Pick<WatcherListCall, 'after' | 'endpoint' | 'limit'> & { readonly id?: string };

/** @throws {WaymarkError} `invalid` */
function askOf(args: unknown): WatcherAsk {
  let ask: unknown = null;
  try {
    ask = JSON.parse((args as { readonly ask: string }).ask);
  } catch {
    // Said below.
  }
  const { namespace = '', pattern = '' } = (ask ?? {}) as Record<string, unknown>;
  if (typeof ask === 'object' && ask !== null && `${typeof namespace} ${typeof pattern}` === texts)
    return ask as WatcherAsk;
  throw new WaymarkError('invalid', 'what is asked of watchers is an object');
}

const texts = 'string string';

async function add<Args, Result>(asked: AskedCall<Args, Result>, ask: WatcherAsk): Promise<Result> {
  const { caller, call, run } = asked;
  const { namespace = 'default', pattern = '/*' } = ask;
  const path = beginningOf(pattern);
  // Others' watchers tell by the same endpoint, and it is no more this caller's than theirs.
  const own = { ask: JSON.stringify({ ...ask, sharing: 'as it stands' }) };
  const added = (await run(own as Args, () => {
    caller.demandPath(['watchers'], namespace, path);
    // Whoever registers it has every value told.
    caller.demandPath(['watch'], namespace, path);
  })) as WatcherAdded;
  caller.tell({ action: call.name, namespace, path });
  const [watcher] = await ownFigures(asked, [added.watcher]);
  // Ids of others' are theirs.
  return { ...added, watcher, covers: [], coveredBy: [] } as Result;
}

/** Page by page, until there are as many as were asked for: neither a page cut short nor `more` tells of those that are left out. */
async function list<Args, Result>(
  asked: AskedCall<Args, Result>,
  ask: WatcherAsk,
  free: () => void,
): Promise<WatcherPage> {
  const { caller, host, run } = asked;
  const limit = readLimit(ask.limit);
  if (ask.endpoint !== undefined && isWatcherId(ask.endpoint)) {
    const sharer = await watcherOf(host, ask.endpoint);
    if (sharer !== null && !mayWatcher(caller, sharer)) return { watchers: [], more: false };
  }
  const found: WatcherInfo[] = [];
  for (let { after } = ask; ;) {
    const all = { ask: JSON.stringify({ ...ask, after, limit: undefined }) };
    const page = (await run(all as Args, free)) as WatcherPage;
    found.push(...page.watchers.filter((one) => mayWatcher(caller, one)));
    after = page.watchers.at(-1)?.id;
    if (page.more && after !== undefined && found.length <= limit) continue;
    const watchers = await ownFigures(asked, found.slice(0, limit));
    return { watchers, more: found.length > limit };
  }
}

async function watcherOf(host: Host, id: string): Promise<WatcherInfo | null> {
  return await host.run(watcherCalls.get, 'default', { ask: JSON.stringify({ id }) });
}

function mayWatcher(caller: Caller, { namespace, pattern }: WatcherInfo): boolean {
  return caller.mayPath(['watchers'], namespace, beginningOf(pattern));
}

/** The path that all which a pattern matches lies at or below: a star may stand for slashes, so it ends where something special begins. */
function beginningOf(pattern: string): string {
  const { beginning, steps } = readPattern(pattern);
  const text = bytesToText(beginning);
  if (steps.length === beginning.length && text.startsWith('/')) return resolvePath('/', text);
  const parent = text.slice(0, Math.max(0, text.lastIndexOf('/')));
  return parent.startsWith('/') ? resolvePath('/', parent) : '/';
}
