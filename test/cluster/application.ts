import { codecs, open } from 'waymark';

/** An application that is itself a member, with no server beside it: writes one key after the other, and tells each that is written. */

const [url = '', name = ''] = process.argv.slice(2);
const space = await open(url);
const ns = space.namespace('default', { codec: codecs.text });
let writing = true;

process.on('message', (asked: 'stop' | 'read' | 'close') => {
  if (asked === 'stop') writing = false;
  else if (asked === 'read') void read();
  else void space.close().then(() => process.disconnect());
});

async function read(): Promise<void> {
  const there: [string, string][] = [];
  for (let after: string | undefined; ;) {
    const { entries, more } = await ns.tree('/load', { after });
    there.push(...entries.map(({ path, value }) => [path, value] as [string, string]));
    if (!more) break;
    after = entries.at(-1)?.path;
  }
  tell({ entries: there });
}

function tell(message: object): void {
  if (process.connected) process.send?.(message);
}

tell({ opened: true });
for (let count = 0; writing; count++) {
  const path = `/load/${name}/${process.pid}-${count}`;
  const written = await ns
    .put(path, String(count), { signal: AbortSignal.timeout(1_500) })
    .then(() => true)
    .catch(() => false);
  if (written) tell({ path, value: String(count) });
}
tell({ stopped: true });
