import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { json, nsUrl } from '../api.js';
import { shownValue } from '../entries.js';
import { type StreamState, usePoll, useStream } from '../hooks.js';
import type { Change, Page as PageOf } from '../model.js';
import { goTo, join, linkTo } from '../route.js';
import { Badge, Button, Page, PathForm, Table, Trouble } from '../ui.js';
import type { ViewProps } from '../views.js';
import { EntryPanel } from './entry.js';

const pageSize = 200;
const changesMax = 100;

/** A path: its value, what lies below it, and what changes there. */
export function Tree({ ns, path }: ViewProps): JSX.Element {
  return (
    <Page title="Tree">
      <PathForm path={path} onGo={(to) => goTo('tree', ns, to)} />
      <Crumbs ns={ns} path={path} />
      <Below ns={ns} path={path} key={path} />
    </Page>
  );
}

function Crumbs({ ns, path }: ViewProps): JSX.Element {
  const segments = path === '/' ? [] : path.slice(1).split('/');
  return (
    <nav aria-label="Breadcrumb">
      <ol class="crumbs">
        <li>
          <a href={linkTo('tree', ns)}>{ns}</a>
        </li>
        {segments.map((segment, i) => (
          <li key={i}>
            <a
              href={linkTo('tree', ns, `/${segments.slice(0, i + 1).join('/')}`)}
              aria-current={i === segments.length - 1 ? 'page' : undefined}
            >
              {segment}
            </a>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function Below({ ns, path }: ViewProps): JSX.Element {
  const [limit, setLimit] = useState(pageSize);
  const [changes, setChanges] = useState<readonly Change[]>([]);
  const [begun, setBegun] = useState<number | null>(null);
  const children = usePoll(
    `${path} ${limit}`,
    (signal) => childrenOf(ns, path, { limit, signal }),
    0,
  );
  const revision = children.data?.revision;
  useEffect(() => {
    if (begun === null && revision !== undefined) setBegun(revision);
  }, [begun, revision]);
  // From the revision of the listing on: nothing between the two is missed, and what is there is not sent again.
  const url = begun === null ? null : nsUrl(ns, 'watch', path, `tree&locks=false&after=${begun}`);
  const stream = useStream(url, ({ data }) => {
    const change = data as Change;
    setChanges((before) => [change, ...before].slice(0, changesMax));
    if (change.path !== path) children.refresh();
  });
  const own = changes.find((change) => change.path === path || change.kind === 'resync');
  return (
    <>
      <EntryPanel ns={ns} path={path} changed={own?.revision ?? 0} />
      <div class="columns">
        <section aria-labelledby="below">
          <h2 id="below">Below</h2>
          <Trouble problem={children.problem} />
          <ul class="children">
            {children.data?.entries.map((name) => (
              <li key={name}>
                <a href={linkTo('tree', ns, join(path, name))}>{name}</a>
              </li>
            ))}
          </ul>
          {children.data?.entries.length === 0 && <p class="empty">Nothing lies below.</p>}
          {children.data?.more === true && (
            <Button onClick={() => setLimit(limit + pageSize)}>More</Button>
          )}
        </section>
        <Changes ns={ns} changes={changes} stream={stream} />
      </div>
    </>
  );
}

async function childrenOf(
  ns: string,
  path: string,
  { limit, signal }: { readonly limit: number; readonly signal: AbortSignal },
): Promise<PageOf<string>> {
  const entries: string[] = [];
  let query = '';
  for (;;) {
    const size = Math.min(1_000, limit - entries.length);
    const url = nsUrl(ns, 'children', path, `limit=${size}${query}`);
    const page = await json<PageOf<string>>(url, { signal });
    entries.push(...page.entries);
    if (!page.more || entries.length >= limit) return { ...page, entries };
    query = `&at=${page.revision}&after=${encodeURIComponent(entries.at(-1) ?? '')}`;
  }
}

function Changes(props: {
  readonly ns: string;
  readonly changes: readonly Change[];
  readonly stream: StreamState;
}): JSX.Element {
  const { ns, changes, stream } = props;
  return (
    <section aria-labelledby="changes">
      <h2 id="changes">
        Changes{' '}
        <Badge kind={stream.open ? 'good' : 'warn'}>{stream.open ? 'live' : 'waiting'}</Badge>
      </h2>
      <Trouble problem={stream.problem} />
      <div aria-live="polite">
        <Table
          caption="Changes at and below this path, newest first"
          heads={['Revision', 'What', 'Path', 'Value']}
          empty="None since this page was opened."
          rows={changes.map((change) => (
            <tr key={`${change.revision} ${change.path}`}>
              <td class="number">{change.revision}</td>
              <td>
                <Badge kind={change.kind === 'put' ? 'good' : 'warn'}>{change.kind}</Badge>
              </td>
              <td>
                <a href={linkTo('tree', ns, change.path)}>{change.path}</a>
              </td>
              <td class="value">{change.entry && shownValue(change.entry).slice(0, 200)}</td>
            </tr>
          ))}
        />
      </div>
    </section>
  );
}
