import diagnostics from 'node:diagnostics_channel';
import { type Membership, open, type Reply } from 'waymark';
import type { Asked } from './member-process.js';

/** One process of the tests of messages: joins, sends and leaves as it is asked over IPC. */
let connections = 0;
diagnostics.subscribe('net.client.socket', () => connections++);

const [url = ''] = process.argv.slice(2);
const space = await open(url, { owner: `member-${process.pid}` });
const group = space.namespace('n').members('/g');
const memberships = new Map<string, Membership>();
const seen = new Map<string, unknown[]>();

// The test is gone: nobody is left to be told.
process.once('disconnect', () => process.exit());
process.on('message', (asked: Asked & { readonly number: number }) => {
  run(asked).then(
    (value) => process.send?.({ number: asked.number, value }),
    (error: unknown) => process.send?.({ number: asked.number, error: String(error) }),
  );
});

async function run(asked: Asked): Promise<unknown> {
  switch (asked.call) {
    case 'join':
      return await join(asked);
    case 'sendTo':
      return await membership(asked.from).sendTo(asked.to, asked.body, { deadlineMs: 4_000 });
    case 'broadcast': {
      const replies: Reply[] = [];
      const { from, body } = asked;
      for await (const reply of membership(from).broadcast(body, { deadlineMs: 10_000 })) {
        replies.push(reply);
      }
      return replies;
    }
    case 'leave':
      await membership(asked.id).release();
      return undefined;
    case 'connections':
      return connections;
  }
}

async function join({ id, listen, token, lead }: Extract<Asked, { call: 'join' }>) {
  const bodies: unknown[] = [];
  seen.set(id, bodies);
  const handle = async ({ body }: { readonly body: unknown }): Promise<unknown> => {
    if (body === 'hang') await new Promise(() => undefined);
    if (body === 'seen?') return bodies;
    bodies.push(body);
    return `${id} had ${String(body)}`;
  };
  const joined = await group.join({ id, handle, listen, token, lead, ttlMs: 60_000 });
  memberships.set(id, joined);
  return joined.listens;
}

function membership(id: string): Membership {
  const found = memberships.get(id);
  if (found === undefined) throw new Error(`no member ${id} here`);
  return found;
}
