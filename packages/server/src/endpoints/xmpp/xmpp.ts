import { type Clock, pause, systemClock, WaymarkError } from 'waymark/engine';
import {
  type DeliveredEvent,
  type Delivery,
  DeliveryFailure,
  type Endpoint,
  type EndpointKind,
  type EndpointTools,
} from '../endpoint.js';
import { checkInstalled } from '../kit/installed.js';
import type { SharedConnection, Use } from '../kit/shared-connections.js';
import { targetOf } from '../kit/target.js';
import { TrySignal } from '../kit/try-signal.js';
import { unlessAborted } from '../kit/unless-aborted.js';
import type { XmppAccount } from './account.js';
import { openClient, type XmppLink } from './connection.js';
import { loadXmpp, type XmppLibrary } from './library.js';
import { readXmppUri, type XmppPlace } from './place.js';
import { type Sent, XmppSession } from './session.js';
import { messageOf } from './stanzas.js';

/** A receiver that gives no receipt within this is taken for one that gives none. */
const receiptMs = 2_000;

export interface XmppKindOptions {
  /** Who messages are from; null: nothing can be registered. */
  readonly account: XmppAccount | null;
  readonly clock?: Clock | undefined;
}

/** People and rooms of XMPP. docs/endpoints/xmpp.md tells what arrives. */
export function createXmppKind({ account, clock = systemClock }: XmppKindOptions): EndpointKind {
  return {
    name: 'xmpp',
    schemes: ['xmpp'],
    eventsMax: 100,
    // Servers take 256 KiB in one message, and base64 a third more than the value.
    bytesMax: 131_072,
    parse(uri, { secrets, format }) {
      const { parts, normal } = readXmppUri(uri);
      if (secrets.length > 0)
        throw refused('messages of XMPP are not signed: leave the secret out');
      if (format !== 'structured') throw refused('XMPP takes the format structured alone');
      if (account === null) throw refused(withoutAccount);
      return targetOf(parts, { normal, fences: false });
    },
    open(target, _settings, tools) {
      checkInstalled('xmpp', ['@xmpp/client']);
      if (account === null) throw new WaymarkError('unavailable', withoutAccount);
      return new XmppEndpoint(readXmppUri(target.uri), { account, clock, tools });
    },
  };
}

const withoutAccount =
  'xmpp:// needs an account to send from: start the server with --xmpp-account-file FILE';

function refused(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}

interface EndpointParts {
  readonly account: XmppAccount;
  readonly clock: Clock;
  readonly tools: EndpointTools;
}

interface Opened {
  readonly library: XmppLibrary;
  readonly session: XmppSession;
}

class XmppEndpoint implements Endpoint {
  readonly #place: XmppPlace;
  readonly #parts: EndpointParts;
  readonly #tries = new TrySignal();
  #use: Use<Opened> | null = null;

  constructor(place: XmppPlace, parts: EndpointParts) {
    this.#place = place;
    this.#parts = parts;
  }

  deliver(delivery: Delivery, until: AbortSignal): Promise<void> {
    return this.#tries.under(until, (signal) => this.#deliver(delivery, signal));
  }

  async #deliver(delivery: Delivery, signal: AbortSignal): Promise<void> {
    const opened = await this.#opened(signal);
    const { bare, resource, type } = this.#place;
    const own = this.#parts.account.jid.split('@', 1)[0] as string;
    if (type === 'groupchat') await opened.session.join(bare, resource || own, signal);
    // The next goes out when the one before has been accepted: one that fails is followed by none.
    for (const event of delivery.events) await this.#tell(opened, delivery, event, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#tries.end(new DeliveryFailure('again', 'the endpoint was given up'));
    await this.#leave();
  }

  async #opened(signal: AbortSignal): Promise<Opened> {
    const { account, tools } = this.#parts;
    const key = JSON.stringify(['xmpp', account]);
    if ((await this.#use?.connection.catch(() => null))?.session.over !== false)
      await this.#leave();
    this.#use ??= tools.connections.use(key, () => openConnection(account, tools));
    try {
      return await unlessAborted(this.#use.connection, signal);
    } catch (error) {
      await this.#leave();
      throw error;
    }
  }

  async #tell(
    { library, session }: Opened,
    delivery: Delivery,
    event: DeliveredEvent,
    signal: AbortSignal,
  ): Promise<void> {
    const { bare, type } = this.#place;
    const sent = session.send(messageOf(library, this.#place, delivery, event), bare);
    const waiting = new AbortController();
    try {
      const accepted =
        type === 'groupchat'
          ? sent.received
          : Promise.race([sent.received, this.#withoutReceipt(session, sent, waiting.signal)]);
      await unlessAborted(accepted, signal);
    } finally {
      waiting.abort();
      sent.forget();
    }
  }

  async #withoutReceipt(session: XmppSession, sent: Sent, signal: AbortSignal): Promise<void> {
    const { bare } = this.#place;
    if (session.offersReceipts(bare)) await pause(this.#parts.clock, receiptMs, signal);
    await sent.handled();
    session.gaveNoReceipt(bare);
  }

  async #leave(): Promise<void> {
    const use = this.#use;
    this.#use = null;
    await use?.leave();
  }
}

function openConnection(account: XmppAccount, { dialer }: EndpointTools): SharedConnection<Opened> {
  const ending = new AbortController();
  let link: XmppLink | undefined;
  const connection = (async () => {
    const library = await loadXmpp();
    link = await openClient(library, account, dialer, ending.signal);
    const domain = account.jid.slice(account.jid.indexOf('@') + 1);
    return { library, session: new XmppSession(library, link, domain) };
  })();
  return {
    connection,
    dropped: connection.then(({ session }) => session.ended),
    close: async () => {
      ending.abort(new DeliveryFailure('again', 'the connection was given up'));
      await link?.close();
    },
  };
}
