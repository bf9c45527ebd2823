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
import { readLimit } from '../watchers/desk-list.js';
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
  return await run(args, () => {
    if (!mayWatcher(caller, found)) throw caller.denied({ action: call.name });
  });
}

type WatcherAsk = Partial<RegistrationAsk> &
  Pick<WatcherListCall, 'after' | 'limit'> & { readonly id?: string };

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

async function add<Args, Result>(
  { caller, call, run }: AskedCall<Args, Result>,
  ask: WatcherAsk,
): Promise<Result> {
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
  // Ids of others' are theirs.
  return { ...added, covers: [], coveredBy: [] } as Result;
}

/** Page by page, until there are as many as were asked for: neither a page cut short nor `more` tells of those that are left out. */
async function list<Args, Result>(
  { caller, run }: AskedCall<Args, Result>,
  ask: WatcherAsk,
  free: () => void,
): Promise<WatcherPage> {
  const limit = readLimit(ask.limit);
  const found: WatcherInfo[] = [];
  for (let { after } = ask; ;) {
    const all = { ask: JSON.stringify({ ...ask, after, limit: undefined }) };
    const page = (await run(all as Args, free)) as WatcherPage;
    found.push(...page.watchers.filter((one) => mayWatcher(caller, one)));
    after = page.watchers.at(-1)?.id;
    if (page.more && after !== undefined && found.length <= limit) continue;
    return { watchers: found.slice(0, limit), more: found.length > limit };
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
