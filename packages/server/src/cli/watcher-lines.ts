import type { DeadLetter, Space, WatcherEvent, WatcherInfo, WatcherListCall } from 'waymark';

/** How watchers are shown to people. */

/** Page by page. */
export async function* everyWatcher(
  { watchers }: Space,
  call: WatcherListCall,
): AsyncIterableIterator<WatcherInfo> {
  for (let after: string | undefined; ;) {
    const page = await watchers.list({ ...call, after });
    yield* page.watchers;
    after = page.watchers.at(-1)?.id;
    if (!page.more || after === undefined) return;
  }
}

export function listLine({ id, state, namespace, pattern, endpoint }: WatcherInfo): string {
  return `${id}  ${state.padEnd(8)}  ${namespace}  ${pattern}  ${endpoint}`;
}

export function described(info: WatcherInfo): string {
  const { delivery, labels, expiresAt, retry, signed } = info;
  const { lastError, nextTryAt, attempts, processor } = delivery;
  const told = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  const facts: readonly (readonly [string, string])[] = [
    ['id', info.id],
    ['state', info.state],
    ['pattern', `${info.pattern} of ${info.namespace}`],
    ['endpoint', `${info.endpoint} (${info.kind}${signed ? ', signed' : ''})`],
    ['registered', timeOf(info.registeredAt)],
    ['ends', expiresAt === null ? 'never' : timeOf(expiresAt)],
    ['owner', info.owner],
    ['labels', told.join(' ')],
    ['retry', `${typeof retry === 'string' ? retry : retry.join(',')}, then ${info.end}`],
    ['batch', `${info.batch}, ${info.format}, ${info.timeoutMs} ms a try`],
    ['delivered', deliveredText(delivery)],
    ['behind', `${delivery.lagRevisions} revisions, ${delivery.lagSeconds.toFixed(1)} s`],
    ['failing', lastError === null ? 'no' : `${attempts} tries: ${lastError}`],
    ['next try', nextTryAt === null ? '' : timeOf(nextTryAt)],
    ['dead letters', delivery.deadLetters === 0 ? '' : String(delivery.deadLetters ?? unseen)],
    ['processor', processor ?? 'none'],
  ];
  const shown = facts.filter(([, value]) => value !== '');
  return shown.map(([name, value]) => `${name.padEnd(12)}  ${value}`).join('\n');
}

/** What others' watchers of the same endpoint would tell along. */
const unseen = 'not shown: the endpoint has watchers that you may not see';

function deliveredText({ delivered, perSecond }: WatcherInfo['delivery']): string {
  if (delivered === null || perSecond === null) return unseen;
  return `${delivered}, ${perSecond.toFixed(1)} a second`;
}

export function eventLine({ id, at, kind, watchers, endpoint, detail }: WatcherEvent): string {
  const of = watchers.map((watcher) => watcher.slice(0, 12)).join(' ');
  return `${id}  ${timeOf(at)}  ${kind.padEnd(12)}  ${of}  ${endpoint}  ${detail}`;
}

export function letterLine({ id, at, kind, path, attempts, error }: DeadLetter): string {
  return `${id}  ${timeOf(at)}  ${kind} ${path}  ${attempts} tries: ${error}`;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
