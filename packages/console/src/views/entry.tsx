import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Problem } from '../api.js';
import { deleteEntry, readEntry, readHistory, shownValue, writeEntry } from '../entries.js';
import { useAction, usePoll } from '../hooks.js';
import type { Entry } from '../model.js';
import { Button, Dialog, Note, Table, Trouble } from '../ui.js';

const historyMax = 10;

interface At {
  readonly ns: string;
  readonly path: string;
}

/** @param changed  the revision of the last change that was told: what is shown is read again */
export function EntryPanel({ ns, path, changed }: At & { readonly changed: number }): JSX.Element {
  const [editing, setEditing] = useState(false);
  const entry = usePoll(
    `${ns} ${path}`,
    (signal) => readEntry(ns, path, { signal }).then(found),
    0,
  );
  useEffect(() => entry.refresh(), [changed]);
  const stands = entry.data?.entry ?? null;
  return (
    <section aria-labelledby="value">
      <h2 id="value">Value</h2>
      <Trouble problem={entry.problem} />
      {entry.data !== null && !editing && (
        <Shown ns={ns} path={path} entry={stands} onEdit={() => setEditing(true)} />
      )}
      {editing && entry.data !== null && (
        <Editor
          ns={ns}
          path={path}
          began={stands}
          onDone={() => {
            setEditing(false);
            entry.refresh();
          }}
        />
      )}
      {stands !== null && <History ns={ns} entry={stands} key={stands.revision} />}
    </section>
  );
}

/** So that "there is none" can be told from "not known yet". */
function found(entry: Entry | null): { readonly entry: Entry | null } {
  return { entry };
}

function Shown(
  props: At & { readonly entry: Entry | null; readonly onEdit: () => void },
): JSX.Element {
  const { ns, path, entry, onEdit } = props;
  const [asking, setAsking] = useState(false);
  const { problem, run, busy } = useAction();
  if (entry === null) {
    return (
      <>
        <p class="empty">No value stands here.</p>
        <Button onClick={onEdit}>Write one</Button>
      </>
    );
  }
  const { revision } = entry;
  const remove = (): void =>
    void run(() => deleteEntry(ns, path, revision)).then(() => setAsking(false));
  return (
    <>
      <pre class="value" tabIndex={0} aria-label="The value">
        {shownValue(entry)}
      </pre>
      <FactsLine entry={entry} />
      <Trouble problem={problem} />
      <div class="row">
        <Button kind="main" onClick={onEdit} disabled={entry.value === undefined}>
          Edit
        </Button>
        <Button kind="danger" onClick={() => setAsking(true)}>
          Delete
        </Button>
      </div>
      {asking && (
        <Dialog title={`Delete ${path}?`} onClose={() => setAsking(false)}>
          <p>Only this value, as it stood at revision {revision}; not what lies below.</p>
          <div class="row">
            <Button kind="danger" onClick={remove} disabled={busy}>
              Delete
            </Button>
            <Button onClick={() => setAsking(false)}>Keep</Button>
          </div>
        </Dialog>
      )}
    </>
  );
}

function FactsLine({ entry }: { readonly entry: Entry }): JSX.Element {
  const { revision, version, createRevision, lease } = entry;
  return (
    <p class="facts">
      revision {revision} · version {version} · created at {createRevision}
      {lease !== 0 && ` · lease ${lease}`}
    </p>
  );
}

/**
 * Writes only over what was seen. When something else stands by then, both are shown, and nothing is written until a person has
 * chosen; and then only over what that person has seen.
 */
function Editor(
  props: At & { readonly began: Entry | null; readonly onDone: () => void },
): JSX.Element {
  const { ns, path, onDone } = props;
  const [seen, setSeen] = useState(props.began);
  const [text, setText] = useState(props.began?.value ?? '');
  const [clash, setClash] = useState(false);
  const { busy, problem, run } = useAction();
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => area.current?.focus(), []);
  const save = (): void =>
    void run(async () => {
      try {
        await writeEntry(ns, path, { value: text, revision: seen?.revision ?? 0 });
        onDone();
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== 'conflict') throw error;
        setSeen(await readEntry(ns, path));
        setClash(true);
      }
    });
  const submit = (event: Event): void => {
    event.preventDefault();
    save();
  };
  return (
    <form onSubmit={submit}>
      <label class="unseen" for="edited">
        New value
      </label>
      <textarea
        id="edited"
        ref={area}
        rows={6}
        spellcheck={false}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      {clash ? (
        <Clash seen={seen} busy={busy} onMine={save} onTheirs={onDone} />
      ) : (
        <div class="row">
          <Button type="submit" kind="main" disabled={busy}>
            Save
          </Button>
          <Button onClick={onDone}>Cancel</Button>
          <span class="facts">
            {seen === null ? 'only if there is none yet' : `only over revision ${seen.revision}`}
          </span>
        </div>
      )}
      <Trouble problem={problem} />
    </form>
  );
}

function Clash(props: {
  readonly seen: Entry | null;
  readonly busy: boolean;
  readonly onMine: () => void;
  readonly onTheirs: () => void;
}): JSX.Element {
  const { seen, busy, onMine, onTheirs } = props;
  return (
    <div class="clash" role="alert">
      <strong>Someone else changed it meanwhile. What stands now:</strong>
      {seen === null ? (
        <p class="empty">Nothing: it was deleted.</p>
      ) : (
        <>
          <pre class="value" tabIndex={0} aria-label="What stands now">
            {shownValue(seen)}
          </pre>
          <FactsLine entry={seen} />
        </>
      )}
      <div class="row">
        <Button kind="danger" onClick={onMine} disabled={busy}>
          {seen === null ? 'Write mine' : `Write mine over revision ${seen.revision}`}
        </Button>
        <Button onClick={onTheirs}>Keep what stands</Button>
      </div>
    </div>
  );
}

function History({
  ns,
  entry,
}: {
  readonly ns: string;
  readonly entry: Entry;
}): JSX.Element | null {
  const [open, setOpen] = useState(false);
  if (entry.version <= 1) return null;
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>History: {entry.version - 1} before this one</summary>
      {open && <Older ns={ns} entry={entry} />}
    </details>
  );
}

function Older({ ns, entry }: { readonly ns: string; readonly entry: Entry }): JSX.Element {
  const { data, problem } = usePoll(
    `${entry.path} ${entry.revision}`,
    (signal) => readHistory(ns, entry, { limit: historyMax, signal }),
    0,
  );
  if (data === null) return <Trouble problem={problem} />;
  return (
    <>
      <Table
        caption="Earlier values, newest first"
        heads={['Revision', 'Version', 'Value']}
        empty="History does not go back so far."
        rows={data.entries.map((one) => (
          <tr key={one.revision}>
            <td class="number">{one.revision}</td>
            <td class="number">{one.version}</td>
            <td class="value">{shownValue(one).slice(0, 1_000)}</td>
          </tr>
        ))}
      />
      {data.compacted && <Note>What was before is compacted.</Note>}
    </>
  );
}
