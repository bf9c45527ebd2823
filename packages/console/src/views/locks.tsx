import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { json, nsUrl } from '../api.js';
import { type Doing, useAction, usePoll } from '../hooks.js';
import { orElse, readInUse } from '../in-use.js';
import type { Explanation, Party } from '../model.js';
import { goTo, linkTo } from '../route.js';
import { Badge, Button, Dialog, Field, Note, Page, PathForm, Table, Trouble } from '../ui.js';
import type { ViewProps } from '../views.js';

/** Who holds what and who waits, and for one path why one would not get it now. */
export function Locks({ ns, path }: ViewProps): JSX.Element {
  const kind = { of: 'locks', collection: 'locks' };
  // Who may not look at all of the namespace sees what is here.
  const { data, problem } = usePoll(`${ns} ${path}`, (signal) =>
    readInUse<Explanation>({ ns, path: '/' }, kind, signal).catch(
      orElse('denied', () => readInUse<Explanation>({ ns, path }, kind, signal)),
    ),
  );
  // A tree lock above is in the way here too, and has a line of its own.
  const own = (parties: readonly Party[], at: string) => parties.filter((one) => one.path === at);
  return (
    <Page
      title="Locks"
      lead="Held and waited for, as it stands. Choose one to see why it is not free."
    >
      <Explain ns={ns} path={path} key={path} />
      <section aria-labelledby="all">
        <h2 id="all">In use</h2>
        <Trouble problem={problem} />
        {data !== null && (
          <Table
            caption="Locks in this namespace"
            heads={['Path', 'Holders', 'Waiters']}
            empty="Nobody holds a lock here."
            rows={data.all.map((one) => (
              <tr key={one.path}>
                <td>
                  <a href={linkTo('locks', ns, one.path)}>{one.path}</a>
                </td>
                <td>
                  <Parties parties={own(one.holders, one.path)} />
                </td>
                <td>
                  <Parties parties={own(one.waiters, one.path)} />
                </td>
              </tr>
            ))}
          />
        )}
        {data?.more === true && <Note>There are more: only the first are shown.</Note>}
      </section>
    </Page>
  );
}

function Parties({ parties }: { readonly parties: readonly Party[] }): JSX.Element {
  return (
    <>
      {parties.map((one) => (
        <div key={`${one.since} ${one.owner}`}>
          {one.owner}{' '}
          <Badge>
            {one.mode}
            {one.tree && ', tree'}
          </Badge>{' '}
          <span class="facts">
            {one.token === undefined ? `since revision ${one.since}` : `token ${one.token}`}
          </span>
        </div>
      ))}
    </>
  );
}

function Explain({ ns, path }: ViewProps): JSX.Element {
  const [tree, setTree] = useState(false);
  const [shared, setShared] = useState(false);
  const query = `tree=${tree}&mode=${shared ? 'shared' : 'exclusive'}`;
  const told = usePoll(`${ns} ${path} ${query}`, (signal) =>
    json<Explanation>(nsUrl(ns, 'locks', path, query), { signal }),
  );
  const unlocking = useAction();
  return (
    <section aria-labelledby="explain">
      <h2 id="explain">Why not me?</h2>
      <PathForm path={path} action="Explain" onGo={(to) => goTo('locks', ns, to)}>
        <label class="inline">
          <input type="checkbox" checked={tree} onChange={() => setTree(!tree)} /> with all below
        </label>
        <label class="inline">
          <input type="checkbox" checked={shared} onChange={() => setShared(!shared)} /> shared
        </label>
      </PathForm>
      <Trouble problem={told.problem} />
      {told.data !== null && <Told told={told.data} />}
      {(told.data?.holders.some((one) => one.path === path) ?? false) && (
        <Unlock ns={ns} path={path} doing={unlocking} onDone={told.refresh} />
      )}
      <Trouble problem={unlocking.problem} />
    </section>
  );
}

function Told({ told }: { readonly told: Explanation }): JSX.Element {
  return (
    <>
      <p>{told.summary}</p>
      {told.cycle.length > 0 && (
        <Note>
          They wait for each other:{' '}
          {told.cycle.map((step) => `${step.owner} for the ${step.recipe} ${step.path}`).join(', ')}
        </Note>
      )}
      {told.holders.length + told.waiters.length > 0 && (
        <Table
          caption="Who is in the way"
          heads={['State', 'Owner', 'Path', 'How', 'Since', 'Token', 'Lease']}
          empty=""
          rows={[...told.holders, ...told.waiters].map((one) => (
            <tr key={`${one.since} ${one.owner} ${one.token === undefined}`}>
              <td>
                <Badge kind={one.token === undefined ? 'plain' : 'good'}>
                  {one.token === undefined ? 'waits' : 'holds'}
                </Badge>
              </td>
              <td>{one.owner}</td>
              <td>{one.path}</td>
              <td>
                {one.mode}
                {one.tree && ', tree'}
              </td>
              <td class="number">{one.since}</td>
              <td class="number">{one.token}</td>
              <td class="number">{one.lease}</td>
            </tr>
          ))}
        />
      )}
    </>
  );
}

function Unlock(props: {
  readonly ns: string;
  readonly path: string;
  readonly doing: Doing;
  readonly onDone: () => void;
}): JSX.Element {
  const { ns, path, doing, onDone } = props;
  const [asking, setAsking] = useState(false);
  const [reason, setReason] = useState('');
  const submit = (event: Event): void => {
    event.preventDefault();
    const url = nsUrl(ns, 'force-unlock', path);
    void doing
      .run(() => json(url, { method: 'POST', body: { reason } }))
      .then(() => {
        setAsking(false);
        onDone();
      });
  };
  return (
    <>
      <Button kind="danger" onClick={() => setAsking(true)}>
        Force unlock
      </Button>
      {asking && (
        <Dialog title={`Take ${path} away from its holders?`} onClose={() => setAsking(false)}>
          <p>
            They are told, with the reason, and it is recorded. What they do outside is not stopped.
          </p>
          <form onSubmit={submit}>
            <Field label="Reason" value={reason} onInput={setReason} required />
            <div class="row">
              <Button type="submit" kind="danger" disabled={doing.busy}>
                Force unlock
              </Button>
              <Button onClick={() => setAsking(false)}>Keep</Button>
            </div>
          </form>
        </Dialog>
      )}
    </>
  );
}
