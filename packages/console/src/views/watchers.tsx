import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { json } from '../api.js';
import { type Doing, useAction, usePoll } from '../hooks.js';
import type { Watcher } from '../model.js';
import { Badge, Button, Dialog, Field, Note, Page, Table, Trouble } from '../ui.js';

/** Registered watches of all namespaces: how far each endpoint is behind and why, and what can be done about it. */
export function Watchers(): JSX.Element {
  const { data, problem, refresh } = usePoll('watchers', (signal) =>
    json<{ watchers: Watcher[]; more: boolean }>('/v1/watchers?limit=200', { signal }),
  );
  const doing = useAction();
  return (
    <Page
      title="Watchers"
      lead="What is delivered where, how far behind, and what went wrong last."
    >
      <section aria-label="Watchers">
        <Trouble problem={problem} />
        <Trouble problem={doing.problem} />
        {data !== null && (
          <Table
            caption="Watchers"
            heads={['State', 'Pattern', 'Endpoint', 'Behind', 'Delivered', 'Last error', 'Actions']}
            empty="No watch is registered."
            rows={data.watchers.map((one) => (
              <Row watcher={one} doing={doing} onDone={refresh} key={one.id} />
            ))}
          />
        )}
        {data?.more === true && <Note>There are more: only the first are shown.</Note>}
      </section>
    </Page>
  );
}

const kinds = { active: 'good', paused: 'warn', disabled: 'bad' } as const;

function Row(props: {
  readonly watcher: Watcher;
  readonly doing: Doing;
  readonly onDone: () => void;
}): JSX.Element {
  const { watcher, doing, onDone } = props;
  const { id, namespace, pattern, endpoint, state, delivery } = watcher;
  const [replaying, setReplaying] = useState(false);
  const verb = (name: string): void =>
    void doing
      .run(() => json(`/v1/watchers/${encodeURIComponent(id)}/${name}`, { method: 'POST' }))
      .then(onDone);
  return (
    <tr>
      <td>
        <Badge kind={kinds[state]}>{state}</Badge>
      </td>
      <td>
        {pattern} <span class="facts">in {namespace}</span>
      </td>
      <td>{endpoint}</td>
      <td class="number">
        {delivery.lagRevisions} revisions
        {delivery.lagSeconds > 0 && `, ${Math.round(delivery.lagSeconds)} s`}
      </td>
      <td class="number">
        {delivery.delivered ?? '–'}
        {(delivery.deadLetters ?? 0) > 0 && ` (${delivery.deadLetters} given up)`}
      </td>
      <td>
        {delivery.lastError}
        {delivery.attempts > 0 && ` (${delivery.attempts} tries)`}
      </td>
      <td>
        <div class="row">
          {state === 'active' ? (
            <Button label={`Pause ${pattern}`} disabled={doing.busy} onClick={() => verb('pause')}>
              Pause
            </Button>
          ) : (
            <Button
              label={`Resume ${pattern}`}
              disabled={doing.busy}
              onClick={() => verb('resume')}
            >
              Resume
            </Button>
          )}
          <Button label={`Replay ${pattern}`} onClick={() => setReplaying(true)}>
            Replay
          </Button>
        </div>
        {replaying && (
          <Replay
            watcher={watcher}
            doing={doing}
            onClose={() => {
              setReplaying(false);
              onDone();
            }}
          />
        )}
      </td>
    </tr>
  );
}

function Replay(props: {
  readonly watcher: Watcher;
  readonly doing: Doing;
  readonly onClose: () => void;
}): JSX.Element {
  const { watcher, doing, onClose } = props;
  const [after, setAfter] = useState(String(watcher.delivery.cursor));
  const url = `/v1/watchers/${encodeURIComponent(watcher.id)}/replay`;
  const replay = (from: number | 'beginning'): void =>
    void doing.run(() => json(url, { method: 'POST', body: { after: from } })).then(onClose);
  const submit = (event: Event): void => {
    event.preventDefault();
    replay(Number(after));
  };
  return (
    <Dialog title={`Tell ${watcher.endpoint} again`} onClose={onClose}>
      <p>What came after that revision is delivered once more, in order.</p>
      <form onSubmit={submit}>
        <Field label="After revision" type="number" value={after} onInput={setAfter} required />
        <div class="row">
          <Button type="submit" kind="main" disabled={doing.busy}>
            Replay
          </Button>
          <Button onClick={() => replay('beginning')} disabled={doing.busy}>
            From the beginning
          </Button>
          <Button onClick={onClose}>Cancel</Button>
        </div>
      </form>
    </Dialog>
  );
}
