import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { json, send } from '../api.js';
import { useAction, usePoll } from '../hooks.js';
import type { AccessRole, AccessStatus, AccessToken } from '../model.js';
import { Button, Dialog, Field, Note, Page, Table, Trouble } from '../ui.js';

const root = '/v1/access';
const dayMs = 86_400_000;

interface Told {
  readonly status: AccessStatus;
  readonly tokens: readonly AccessToken[];
  readonly roles: readonly AccessRole[];
}

/** Who may do what: for root alone, once access is on. */
export function Access(): JSX.Element {
  const { data, problem, refresh } = usePoll('access', look, 5_000);
  return (
    <Page title="Access" lead="Tokens, and the roles whose rules say what they are good for.">
      <Trouble problem={problem} />
      {data !== null && (
        <>
          {!data.status.on && (
            <Note>
              Access is off: everyone who can connect may do everything. waymark access on switches
              it on.
            </Note>
          )}
          <Tokens tokens={data.tokens} onDone={refresh} />
          <Roles roles={data.roles} />
        </>
      )}
    </Page>
  );
}

async function look(signal: AbortSignal): Promise<Told> {
  const [status, { tokens }, { roles }] = await Promise.all([
    json<AccessStatus>(root, { signal }),
    json<{ tokens: AccessToken[] }>(`${root}/tokens`, { signal }),
    json<{ roles: AccessRole[] }>(`${root}/roles`, { signal }),
  ]);
  return { status, tokens, roles };
}

function Tokens(props: {
  readonly tokens: readonly AccessToken[];
  readonly onDone: () => void;
}): JSX.Element {
  const { tokens, onDone } = props;
  const [ending, setEnding] = useState<AccessToken | null>(null);
  const { busy, problem, run } = useAction();
  const end = (id: string): void =>
    void run(() => send(`${root}/tokens/${encodeURIComponent(id)}`, { method: 'DELETE' })).then(
      () => {
        setEnding(null);
        onDone();
      },
    );
  return (
    <section aria-labelledby="tokens">
      <h2 id="tokens">Tokens</h2>
      <Trouble problem={problem} />
      <Table
        caption="Tokens"
        heads={['Token', 'User', 'Roles', 'Made', 'Ends', 'Note', 'Actions']}
        empty="There are none."
        rows={tokens.map((token) => (
          <tr key={token.id}>
            <td>{token.id}</td>
            <td>{token.user}</td>
            <td>{token.roles.join(', ')}</td>
            <td>{new Date(token.createdAt).toLocaleString()}</td>
            <td>
              {token.expiresAt === null ? 'never' : new Date(token.expiresAt).toLocaleString()}
            </td>
            <td>{token.note}</td>
            <td>
              <Button
                kind="danger"
                label={`End the token ${token.id} of ${token.user}`}
                onClick={() => setEnding(token)}
              >
                End
              </Button>
            </td>
          </tr>
        ))}
      />
      <NewToken onDone={onDone} />
      {ending !== null && (
        <Dialog title={`End a token of ${ending.user}?`} onClose={() => setEnding(null)}>
          <p>What is open by it ends within a second, and whoever uses it must get another.</p>
          <div class="row">
            <Button kind="danger" disabled={busy} onClick={() => end(ending.id)}>
              End it
            </Button>
            <Button onClick={() => setEnding(null)}>Keep</Button>
          </div>
        </Dialog>
      )}
    </section>
  );
}

function NewToken({ onDone }: { readonly onDone: () => void }): JSX.Element {
  const [user, setUser] = useState('');
  const [role, setRole] = useState('');
  const [days, setDays] = useState('90');
  const [made, setMade] = useState<string | null>(null);
  const { busy, problem, run } = useAction();
  const submit = (event: Event): void => {
    event.preventDefault();
    const roles = role.split(',').map((one) => one.trim());
    const body = {
      user,
      roles: roles.filter((one) => one !== ''),
      ...(days !== '' && { ttlMs: Math.round(Number(days) * dayMs) }),
    };
    void run(async () => {
      const { token } = await json<{ token: string }>(`${root}/tokens`, { method: 'POST', body });
      setMade(token);
      onDone();
    });
  };
  return (
    <>
      <form class="row" onSubmit={submit}>
        <Field label="User" value={user} onInput={setUser} required />
        <Field label="Roles" value={role} onInput={setRole} />
        <Field label="Days (empty: for ever)" type="number" value={days} onInput={setDays} />
        <Button type="submit" disabled={busy}>
          Make a token
        </Button>
      </form>
      <Trouble problem={problem} />
      {made !== null && (
        <Dialog title={`A token for ${user}`} onClose={() => setMade(null)}>
          <p>It is shown this once: keep it where its user finds it, and nobody else.</p>
          <pre class="value" tabIndex={0} aria-label="The token">
            {made}
          </pre>
          <div class="row">
            <Button kind="main" onClick={() => setMade(null)}>
              I have it
            </Button>
          </div>
        </Dialog>
      )}
    </>
  );
}

function Roles({ roles }: { readonly roles: readonly AccessRole[] }): JSX.Element {
  const rows = roles.flatMap(({ role, rules }) => rules.map((rule) => ({ role, ...rule })));
  return (
    <section aria-labelledby="roles">
      <h2 id="roles">Roles</h2>
      <Table
        caption="What roles permit"
        heads={['Role', 'May', 'Where', 'Path and all below']}
        empty="No role has a rule."
        rows={rows.map(({ role, actions, namespace, path, stash }) => (
          <tr key={`${role} ${namespace} ${path} ${stash}`}>
            <td>{role}</td>
            <td>{actions.join(', ')}</td>
            <td>{stash === undefined ? `namespace ${namespace}` : `stash ${stash}`}</td>
            <td>{path}</td>
          </tr>
        ))}
      />
    </section>
  );
}
