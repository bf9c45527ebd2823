import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { json, nsUrl } from '../api.js';
import { usePoll } from '../hooks.js';
import { orElse } from '../in-use.js';
import type { LogEntry, Page as PageOf } from '../model.js';
import { goTo, linkTo } from '../route.js';
import { Button, Page, PathForm, Table, Trouble } from '../ui.js';
import type { ViewProps } from '../views.js';

/** The logs of a namespace, and the newest entries of the one that was chosen. */
export function Logs({ ns, path }: ViewProps): JSX.Element {
  const { data, problem } = usePoll(
    `${ns} ${path}`,
    (signal) => listLogs(ns, '/', signal).catch(orElse('denied', () => listLogs(ns, path, signal))),
    5_000,
  );
  const chosen = data?.entries.includes(path) === true ? path : data?.entries[0];
  return (
    <Page title="Logs" lead="What was appended, newest first.">
      <PathForm path={path} onGo={(to) => goTo('logs', ns, to)} />
      <Trouble problem={problem} />
      {data?.entries.length === 0 && <p class="empty">There is no log here.</p>}
      {data !== null && data.entries.length > 0 && (
        <nav aria-label="Logs of this namespace">
          <ul class="children">
            {data.entries.map((one) => (
              <li key={one}>
                <a
                  href={linkTo('logs', ns, one)}
                  aria-current={one === chosen ? 'true' : undefined}
                >
                  {one}
                </a>
              </li>
            ))}
          </ul>
        </nav>
      )}
      {chosen !== undefined && <Entries ns={ns} path={chosen} key={chosen} />}
    </Page>
  );
}

async function listLogs(ns: string, path: string, signal: AbortSignal): Promise<PageOf<string>> {
  return await json<PageOf<string>>(nsUrl(ns, 'in-use', path, 'of=logs&limit=200'), { signal });
}

function Entries({ ns, path }: ViewProps): JSX.Element {
  const [limit, setLimit] = useState(50);
  const { data, problem } = usePoll(`${path} ${limit}`, (signal) =>
    json<PageOf<LogEntry>>(nsUrl(ns, 'logs', path, `limit=${limit}`), { signal }),
  );
  return (
    <section aria-labelledby="entries">
      <h2 id="entries">{path}</h2>
      <Trouble problem={problem} />
      {data !== null && (
        <Table
          caption={`Entries of ${path}, newest first`}
          heads={['Position', 'When', 'Author', 'Value']}
          empty="Nothing was appended."
          rows={data.entries.map((one) => (
            <tr key={one.position}>
              <td class="number">{one.position}</td>
              <td class="number">{new Date(one.at).toLocaleString()}</td>
              <td>{one.author}</td>
              <td class="value">{one.value ?? `base64 ${one.base64}`}</td>
            </tr>
          ))}
        />
      )}
      {data?.more === true && limit < 1_000 && (
        <Button onClick={() => setLimit(Math.min(1_000, limit * 4))}>More</Button>
      )}
    </section>
  );
}
