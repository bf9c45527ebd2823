import {
  bytesToText,
  type Host,
  resolvePath,
  type WatcherAdded,
  watcherCalls,
  WaymarkError,
  type WatcherInfo,
  type WatcherPage,
  type WatcherWish,
} from 'waymark/engine';
import { readPattern } from '../watchers/glob.js';
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
  const ask = JSON.parse((args as { readonly ask: string }).ask) as Partial<WatcherWish> & {
    readonly id?: string;
  };
  const free = (): void => void caller.authenticate({ action: call.name });
  if (verb === 'add') return await add(asked, ask);
  if (verb === 'list') {
    const page = (await run(args, free)) as WatcherPage;
    const watchers = page.watchers.filter((one) => mayWatcher(caller, one));
    return { ...page, watchers } as Result;
  }
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

async function add<Args, Result>(
  { caller, call, args, run }: AskedCall<Args, Result>,
  { namespace = 'default', pattern = '/*' }: Partial<WatcherWish>,
): Promise<Result> {
  const path = beginningOf(pattern);
  const added = (await run(args, () => {
    caller.demandPath(['watchers'], namespace, path);
    // Whoever registers it has every value told.
    caller.demandPath(['watch'], namespace, path);
  })) as WatcherAdded;
  caller.tell({ action: call.name, namespace, path });
  // Ids of others' are theirs.
  return { ...added, covers: [], coveredBy: [] } as Result;
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
