import type { ComponentChildren, JSX } from 'preact';
import { type Loaded, usePoll } from '../hooks.js';
import { type InUse, readInUse } from '../in-use.js';
import type { ElectionState, GroupState, NamesState, SemaphoreState } from '../model.js';
import { goTo } from '../route.js';
import { Badge, Note, Page, PathForm, Table, Trouble } from '../ui.js';
import type { ViewProps } from '../views.js';

/** Elections, semaphores, names and groups of members: each a list of what is in use, with who. */

type At<T> = T & { readonly path: string };

function useKind<T>(where: ViewProps, of: string, collection = of): Loaded<InUse<At<T>>> {
  const { ns, path } = where;
  return usePoll(`${ns} ${path}`, (signal) => readInUse<T>(where, { of, collection }, signal));
}

function Uses<T>(props: {
  readonly where: ViewProps;
  readonly title: string;
  readonly lead: string;
  readonly loaded: Loaded<InUse<At<T>>>;
  readonly heads: readonly string[];
  readonly empty: string;
  readonly row: (one: At<T>) => readonly ComponentChildren[];
}): JSX.Element {
  const { where, title, lead, loaded, heads, empty, row } = props;
  const { ns, path } = where;
  const { data, problem } = loaded;
  return (
    <Page title={title} lead={lead}>
      <PathForm path={path} onGo={(to) => goTo(title.toLowerCase(), ns, to)} />
      <section aria-label={title}>
        <Trouble problem={problem} />
        {data !== null && (
          <Table
            caption={title}
            heads={heads}
            empty={empty}
            rows={data.all.map((one) => (
              <tr key={one.path}>
                {row(one).map((cell, i) => (
                  <td key={i}>{cell}</td>
                ))}
              </tr>
            ))}
          />
        )}
        {data?.more === true && <Note>There are more: only the first are shown.</Note>}
      </section>
    </Page>
  );
}

export function Elections(where: ViewProps): JSX.Element {
  const loaded = useKind<ElectionState>(where, 'elections');
  return (
    <Uses
      where={where}
      title="Elections"
      lead="Who leads, by which term, and who stands."
      loaded={loaded}
      heads={['Path', 'Leader', 'Term', 'Proclaims', 'Candidates']}
      empty="Nobody stands for anything here."
      row={({ path, leader, candidates }) => [
        path,
        leader === null ? <Badge kind="warn">none</Badge> : leader.owner,
        leader?.term,
        leader?.value ?? leader?.base64,
        <Lines of={candidates.map(({ owner }) => owner)} />,
      ]}
    />
  );
}

export function Semaphores(where: ViewProps): JSX.Element {
  const loaded = useKind<SemaphoreState>(where, 'semaphores');
  return (
    <Uses
      where={where}
      title="Semaphores"
      lead="How much is taken of each, by whom, and who waits."
      loaded={loaded}
      heads={['Path', 'Taken', 'Holders', 'Waiters']}
      empty="There is no semaphore here."
      row={(one) => [
        one.path,
        <>
          {one.used} of {one.limit}{' '}
          <progress max={one.limit} value={one.used} aria-label={`taken of ${one.path}`} />
        </>,
        <Lines of={one.holders.map((party) => `${party.owner} (${party.weight})`)} />,
        <Lines of={one.waiters.map((party) => `${party.owner} (${party.weight})`)} />,
      ]}
    />
  );
}

export function Names(where: ViewProps): JSX.Element {
  const loaded = useKind<NamesState>(where, 'names');
  return (
    <Uses
      where={where}
      title="Names"
      lead="Which names are taken, and by whom."
      loaded={loaded}
      heads={['Path', 'Taken', 'Names', 'Kept', 'Waiting']}
      empty="Nobody has a name here."
      row={({ path, size, members, kept, waiting }) => [
        path,
        `${members.length} of ${size}`,
        <Lines of={members.map((one) => `${one.name}: ${one.owner}`)} />,
        <Lines of={kept.map((one) => `${one.name}: ${one.owner}`)} />,
        <Lines of={waiting} />,
      ]}
    />
  );
}

export function Members(where: ViewProps): JSX.Element {
  const loaded = useKind<GroupState>(where, 'groups', 'members');
  return (
    <Uses
      where={where}
      title="Members"
      lead="Which processes are in which group, and who leads it."
      loaded={loaded}
      heads={['Group', 'Leader', 'Members']}
      empty="No process has joined a group here."
      row={({ path, leader, members }) => [
        path,
        leader === null ? '' : `${leader.id} (term ${leader.term})`,
        <Lines
          of={members.map(
            ({ id, owner, address, meta }) =>
              `${id} · ${owner}${address === null ? '' : ` · ${address}`}${
                meta === null || meta === undefined ? '' : ` · ${JSON.stringify(meta)}`
              }`,
          )}
        />,
      ]}
    />
  );
}

function Lines({ of }: { readonly of: readonly string[] }): JSX.Element {
  return (
    <>
      {of.map((line, i) => (
        <div key={i}>{line}</div>
      ))}
    </>
  );
}
