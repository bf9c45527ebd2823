import { StringDecoder } from 'node:string_decoder';
import { DeliveryFailure } from '../endpoint.js';
import type { Dialer } from '../kit/dialer.js';
import { unlessAborted } from '../kit/unless-aborted.js';
import type { XmppAccount } from './account.js';
import type {
  XmppClient,
  XmppClientOptions,
  XmppElement,
  XmppLibrary,
  XmppSocket,
} from './library.js';
import { namespaces } from './stanzas.js';

/** Between two ends of stanzas: who sends more than that in one fills memory. */
const stanzaBytesMax = 1_048_576;
const openingMs = 10_000;
const farewellMs = 500;

export interface XmppLink {
  readonly client: XmppClient;
  /** Says goodbye, and cuts it when that takes too long. */
  close(): Promise<void>;
  /** At once. */
  cut(): void;
}

/**
 * A connection to the account's server, logged in, with stream management where there is some. It does not reconnect: the next delivery opens another.
 *
 * @throws {DeliveryFailure} @throws the signal's reason
 */
export async function openClient(
  library: XmppLibrary,
  account: XmppAccount,
  dialer: Dialer,
  signal: AbortSignal,
): Promise<XmppLink> {
  const domain = account.jid.slice(account.jid.indexOf('@') + 1);
  const { host = domain, port = 5_222 } = account;
  const { address, family } = await dialer.resolve(host, signal);
  const credentials = credentialsOf(library, account);
  const client = library.client({ service: `xmpp://${domain}:${port}`, domain, credentials });
  client.reconnect.stop();
  client.timeout = openingMs;
  client.streamManagement.requestAckDebounce = 0;
  client.socketParameters = () => ({ host: address, family, port });
  const cut = guard(client);
  const closed = new Promise<never>((_resolve, reject) => {
    client.on('disconnect', () => reject(new Error('the connection has closed')));
  });
  closed.catch(() => undefined);
  const managed = managementOf(client);
  try {
    // The library itself waits on when the server hangs up before it has said a word.
    await unlessAborted(Promise.race([client.start(), closed]), signal);
    await unlessAborted(Promise.race([managed(), closed]), signal);
    return { client, close: () => close(client, cut), cut };
  } catch (error) {
    cut();
    signal.throwIfAborted();
    throw openingFailure(error);
  }
}

async function close(client: XmppClient, cut: () => void): Promise<void> {
  client.timeout = farewellMs;
  if (client.status === 'online') await client.stop().catch(() => undefined);
  cut();
}

/** No word of the account before TLS, unless the account says that there is none; and no password in the clear even then. */
function credentialsOf(
  { xml }: XmppLibrary,
  account: XmppAccount,
): XmppClientOptions['credentials'] {
  const username = account.jid.slice(0, account.jid.indexOf('@'));
  const { password, tls } = account;
  return async (authenticate, mechanisms, _fast, client) => {
    const secure = client.isSecure();
    if (!secure && tls !== 'none')
      throw new DeliveryFailure('again', "the account's server does not offer TLS");
    const mechanism = mechanisms.find(
      (one) => one.startsWith('SCRAM-') || (secure && one === 'PLAIN'),
    );
    if (mechanism === undefined)
      throw new DeliveryFailure(
        'again',
        "the account's server offers no way to log in that is known",
      );
    await authenticate({ username, password }, mechanism, xml('user-agent', { id: 'waymark' }));
  };
}

/**
 * What the library leaves open. Characters are put together before they are parsed, though they come in pieces. What it throws while it reads, and errors of sockets that
 * it has given up, would end the process. A server that sends elsewhere is not followed: where to was not allowed.
 *
 * @returns breaks the connection off
 */
function guard(client: XmppClient): () => void {
  const sockets = new Set<XmppSocket>();
  const attach = client._attachSocket;
  client._attachSocket = (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.setNoDelay?.(true);
    attach.call(client, socket);
  };
  const cut = (): void => {
    for (const socket of sockets)
      (socket.destroy === undefined ? socket.socket : socket)?.destroy?.();
  };
  // 'disconnect' follows.
  client.on('error', () => {});
  const fail = (error: unknown): void => {
    cut();
    client.emit('error', error);
  };
  client._onSeeOtherHost = () => fail(new Error('the server sends elsewhere'));
  let unfinished = 0;
  for (const kind of ['stanza', 'nonza'] as const) client.on(kind, () => (unfinished = 0));
  const decoder = new StringDecoder('utf8');
  client._onData = (data) => {
    unfinished += data.length;
    try {
      client.parser?.write(decoder.write(data));
    } catch (error) {
      return fail(error);
    }
    if (unfinished > stanzaBytesMax) fail(new Error('the stanza is too large'));
  };
  return cut;
}

/** @returns waits until stream management is agreed on, where the server offers it: what is sent earlier is not counted */
function managementOf(client: XmppClient): () => Promise<void> {
  let offered = false;
  let agreed = (): void => {};
  const answered = new Promise<void>((resolve) => (agreed = resolve));
  client.on('nonza', (element: XmppElement) => {
    if (element.name === 'stream:features')
      offered = element.getChild('sm', namespaces.management) !== undefined;
    const ours = element.is('enabled', namespaces.management);
    // Nobody else waits for what was refused.
    if (ours || element.is('failed', namespaces.management)) agreed();
  });
  return async () => {
    if (offered) await answered;
  };
}

function openingFailure(error: unknown): DeliveryFailure {
  if (error instanceof DeliveryFailure) return error;
  const { name, condition } = error as { name?: string; condition?: string };
  const refused = name === 'SASLError' && /^[a-z-]{1,40}$/.test(condition ?? '');
  const why = refused ? `the account was refused: ${condition}` : 'no connection';
  return new DeliveryFailure('again', `XMPP: ${why}`);
}
