import type { JSX } from 'preact';
import { json } from '../api.js';
import { useAction, usePoll } from '../hooks.js';
import type { StashStatus } from '../model.js';
import { Badge, Button, Page, Table, Trouble } from '../ui.js';

type Node = StashStatus['nodes'][number];
type Move = NonNullable<StashStatus['move']>;

/** Who keeps which share of the stash, and how far a move of data is. */
export function Stash(): JSX.Element {
  const { data, problem, refresh } = usePoll('stash', (signal) =>
    json<StashStatus>('/v1/stash/status', { signal }),
  );
  return (
    <Page
      title="Stash"
      lead="The storage nodes, what each keeps, and data on its way between them."
    >
      <Trouble problem={problem} />
      {data !== null && (
        <>
          {data.move !== null && <MoveCard move={data.move} onDone={refresh} />}
          <section aria-label="Nodes">
            <p class="facts">
              {data.replicas} {data.replicas === 1 ? 'copy' : 'copies'} of each entry; written by{' '}
              {data.writeQuorum}, read from {data.readQuorum}; epoch {data.epoch}
            </p>
            <Shares nodes={data.nodes} />
            <Table
              caption="Storage nodes"
              heads={['Node', 'State', 'Zone', 'Address', 'Share', 'Records', 'On disk', 'Trouble']}
              empty="There is no storage node."
              rows={data.nodes.map((node) => (
                <NodeRow node={node} key={node.id} />
              ))}
            />
          </section>
        </>
      )}
    </Page>
  );
}

const kinds: Readonly<Record<string, 'good' | 'warn' | 'bad'>> = { active: 'good', away: 'bad' };

function NodeRow({ node }: { readonly node: Node }): JSX.Element {
  const { id, state, zone, address, share, figures } = node;
  return (
    <tr>
      <td>{id}</td>
      <td>
        <Badge kind={kinds[state] ?? 'warn'}>{state}</Badge>
      </td>
      <td>{zone}</td>
      <td>{address}</td>
      <td class="number">{(share * 100).toFixed(1)} %</td>
      <td class="number">{figures?.records.toLocaleString()}</td>
      <td class="number">{figures && `${(figures.bytes / 1_048_576).toFixed(1)} MiB`}</td>
      <td>
        {figures === null && <Badge kind="bad">silent</Badge>}
        {figures?.writable === false && <Badge kind="bad">takes no writes</Badge>}{' '}
        {(figures?.damaged ?? 0) > 0 && <Badge kind="bad">{figures?.damaged} damaged</Badge>}
      </td>
    </tr>
  );
}

/** The map: each node as wide as its share of the data. */
function Shares({ nodes }: { readonly nodes: readonly Node[] }): JSX.Element {
  return (
    <ul class="shares" aria-label="Shares of the data">
      {nodes.map(({ id, share, state }) => (
        <li key={id} class={kinds[state] ?? 'warn'} style={{ flexGrow: Math.max(share, 0.02) }}>
          {id}
        </li>
      ))}
    </ul>
  );
}

function MoveCard({
  move,
  onDone,
}: {
  readonly move: Move;
  readonly onDone: () => void;
}): JSX.Element {
  const { busy, problem, run } = useAction();
  const verb = (name: string): void =>
    void run(() => json(`/v1/stash-move/${name}`, { method: 'POST' })).then(onDone);
  const { phase, paused, partitions, of, entries, leftMs, waitingFor, blockedBy } = move;
  return (
    <section aria-labelledby="move">
      <h2 id="move">
        Move <Badge kind={paused ? 'warn' : 'good'}>{paused ? 'paused' : phase}</Badge>
      </h2>
      <progress max={Math.max(of, 1)} value={partitions} aria-label="partitions brought over" />
      <p class="facts">
        {partitions} of {of} partitions, {entries.toLocaleString()} entries
        {leftMs !== null && `, ${Math.ceil(leftMs / 1_000)} s left`}
        {waitingFor.length > 0 && `; waits for ${waitingFor.join(', ')}`}
      </p>
      {blockedBy.length > 0 && (
        <p class="facts">
          <Badge kind="bad">blocked</Badge> It cannot end without {blockedBy.join(', ')}, which{' '}
          {blockedBy.length === 1 ? 'is' : 'are'} away. Start{' '}
          {blockedBy.length === 1 ? 'it' : 'them'}, or, if that can never be:{' '}
          <code>waymark stash remove {blockedBy.join(' ')} --accept-loss</code>
        </p>
      )}
      <Trouble problem={problem} />
      <div class="row">
        <Button disabled={busy} onClick={() => verb(paused ? 'resume' : 'pause')}>
          {paused ? 'Go on' : 'Pause'}
        </Button>
        <Button kind="danger" disabled={busy} onClick={() => verb('cancel')}>
          Undo
        </Button>
      </div>
    </section>
  );
}
