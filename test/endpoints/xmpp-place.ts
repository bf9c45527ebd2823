import { type EndpointUnderTest, receivedDocument, startGate } from '@waymark/server/testing';
import type { XmppAccount } from '../../packages/server/src/endpoints/xmpp/account.js';
import type { XmppElement } from '../../packages/server/src/endpoints/xmpp/library.js';
import type { RunningProsody } from '../support/prosody.js';
import { xmppPerson } from '../support/xmpp-person.js';

export const secret = 'secret';

export interface XmppUnderTest extends EndpointUnderTest {
  /** Who messages are from, by way of the gate. */
  readonly account: XmppAccount;
}

let rooms = 0;

/** Alice, or a fresh room that she is in, behind a gate. */
export async function xmppPlace(
  prosody: Pick<RunningProsody, 'port'>,
  type: 'chat' | 'groupchat',
): Promise<XmppUnderTest> {
  const gate = await startGate({ port: prosody.port });
  const { port } = gate;
  const room = `suite${(rooms += 1)}@rooms.localhost`;
  const person = await xmppPerson(prosody.port, type === 'groupchat' ? { room } : {});
  const to = type === 'chat' ? 'alice@localhost' : room;
  return {
    account: { jid: 'waymark@localhost', password: secret, host: '127.0.0.1', port, tls: 'none' },
    uri: `xmpp://${to}/?type=${type}`,
    sibling: `xmpp://${to}/?type=${type}&subject=other`,
    secrets: [`"${secret}"`],
    received: async () => person.heard.map(documentIn),
    interrupt: () => gate.interrupt(),
    hold: () => gate.hold(),
    mend: () => gate.mend(),
    [Symbol.asyncDispose]: async () => {
      await gate[Symbol.asyncDispose]();
      await person[Symbol.asyncDispose]();
    },
  };
}

export function documentIn(message: XmppElement): ReturnType<typeof receivedDocument> {
  return receivedDocument(message.getChildText('json', 'urn:xmpp:json:0') ?? '');
}
