import type {
  XmppClient,
  XmppElement,
  XmppLibrary,
} from '../../packages/server/src/endpoints/xmpp/library.js';
import { openClient } from '../../packages/server/src/endpoints/xmpp/connection.js';
import { plainDialer } from '@waymark/server/testing';

// @ts-expect-error -- it brings no types
export const library = (await import('@xmpp/client')) as XmppLibrary;

export interface XmppPerson extends AsyncDisposable {
  /** Of `alice`, with its resource. */
  readonly client: XmppClient;
  /** Messages that came, but for receipts and what a room said before. */
  readonly heard: readonly XmppElement[];
  /** Whether it answers what asks for a receipt. */
  receipts: boolean;
}

/** Somebody at `localhost` who is there, reads, and gives receipts. @param room  to be in, as `bell` */
export async function xmppPerson(
  port: number,
  { name = 'alice', room }: { readonly name?: string; readonly room?: string } = {},
): Promise<XmppPerson> {
  const { xml } = library;
  const account = {
    jid: `${name}@localhost`,
    password: 'secret',
    host: '127.0.0.1',
    port,
  } as const;
  const quiet = new AbortController();
  const open = { ...account, tls: 'none' } as const;
  const { client, close } = await openClient(library, open, plainDialer(), quiet.signal);
  const heard: XmppElement[] = [];
  const person: XmppPerson & { receipts: boolean } = {
    client,
    heard,
    receipts: true,
    [Symbol.asyncDispose]: close,
  };
  client.on('stanza', (stanza) => {
    if (stanza.name !== 'message' || stanza.getChild('body') === undefined) return;
    heard.push(stanza);
    const asked = stanza.getChild('request', 'urn:xmpp:receipts') !== undefined;
    const { from, id } = stanza.attrs;
    const received = xml('received', { xmlns: 'urn:xmpp:receipts', id });
    if (!asked || !person.receipts) return;
    // Who leaves meanwhile owes none.
    void client.send(xml('message', { to: from }, received)).catch(() => undefined);
  });
  const there = new Promise<void>((resolve) => {
    client.on('stanza', (stanza) => {
      if (stanza.name === 'presence' && stanza.attrs['type'] === undefined) resolve();
    });
  });
  await client.send(xml('presence', {}));
  await there;
  if (room !== undefined) await enter(client, xml, room);
  return person;
}

async function enter(client: XmppClient, xml: XmppLibrary['xml'], room: string): Promise<void> {
  const entered = new Promise<void>((resolve) => {
    client.on('stanza', (stanza) => {
      const status = stanza.getChild('x', 'http://jabber.org/protocol/muc#user');
      if (status?.getChildren('status').some(({ attrs }) => attrs['code'] === '110')) resolve();
    });
  });
  const x = xml('x', { xmlns: 'http://jabber.org/protocol/muc' });
  await client.send(xml('presence', { to: `${room}/bell` }, x));
  await entered;
  const form = xml('x', { xmlns: 'jabber:x:data', type: 'submit' });
  const owner = xml('query', { xmlns: 'http://jabber.org/protocol/muc#owner' }, form);
  await client.iqCaller.request(xml('iq', { to: room, type: 'set' }, owner), 5_000);
}
