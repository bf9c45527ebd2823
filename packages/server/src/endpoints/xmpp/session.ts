import { DeliveryFailure } from '../endpoint.js';
import { unlessAborted } from '../kit/unless-aborted.js';
import type { XmppLink } from './connection.js';
import type { XmppClient, XmppElement, XmppLibrary } from './library.js';
import { failureOf, joinOf, namespaces, openRoomOf, pingOf } from './stanzas.js';

const answerMs = 10_000;

/** A message on its way. */
export interface Sent {
  /** The receiver has it: by a receipt, or by the room's reflection. It fails with what was answered, and when the connection closes. */
  readonly received: Promise<void>;
  /** The server has taken it on. */
  handled(): Promise<void>;
  forget(): void;
}

interface Pending {
  readonly id: string;
  readonly to: string;
  readonly stanza: XmppElement;
  readonly received: () => void;
  readonly handled: () => void;
  readonly failed: (failure: DeliveryFailure) => void;
}

interface Joining {
  readonly joined: (occupant: string) => void;
  readonly failed: (failure: DeliveryFailure) => void;
}

/** What all endpoints of a server say over one connection, and who hears which answer. */
export class XmppSession {
  readonly #library: XmppLibrary;
  readonly #client: XmppClient;
  readonly #domain: string;
  readonly #pending = new Set<Pending>();
  readonly #joining = new Map<string, Joining>();
  /** Room to this connection's own address in it. */
  readonly #rooms = new Map<string, string>();
  /** Receivers (bare) that have sent receipts, and those of whom none came in time. */
  readonly #receipts = new Map<string, boolean>();
  /** Resolves when it is no use any more. */
  readonly ended: Promise<void>;
  #end = (): void => {};
  #over = false;

  constructor(library: XmppLibrary, { client, cut }: XmppLink, domain: string) {
    this.#library = library;
    this.#client = client;
    this.#domain = domain;
    this.ended = new Promise((resolve) => {
      this.#end = () => {
        cut();
        resolve();
      };
    });
    client.on('stanza', (stanza) => {
      if (stanza.name === 'message') this.#message(stanza);
      else if (stanza.name === 'presence') this.#presence(stanza);
    });
    client.streamManagement.on('ack', (stanza) => {
      for (const one of this.#pending) if (one.stanza === stanza) one.handled();
    });
    client.on('disconnect', () => this.#lost());
  }

  get over(): boolean {
    return this.#over;
  }

  /** False once a receipt was waited for in vain, until one comes. */
  offersReceipts(to: string): boolean {
    return this.#receipts.get(to) ?? true;
  }

  gaveNoReceipt(to: string): void {
    this.#receipts.set(to, false);
  }

  /** @param to  the receiver or room, bare */
  send(stanza: XmppElement, to: string): Sent {
    let pending!: Pending;
    let handled = (): void => {};
    const taken = new Promise<void>((resolve) => (handled = resolve));
    const received = new Promise<void>((resolve, failed) => {
      pending = { id: stanza.attrs['id'] ?? '', to, stanza, received: resolve, handled, failed };
    });
    this.#pending.add(pending);
    if (this.#over) pending.failed(closed());
    // A failure is heard by who waits for the receipt.
    received.catch(() => undefined);
    this.#client.send(stanza).catch(() => this.#lost());
    const managed = this.#client.streamManagement.enabled;
    return {
      received,
      handled: () => (managed ? taken : this.#pinged()),
      forget: () => void this.#pending.delete(pending),
    };
  }

  /** @throws {DeliveryFailure} when the room does not let it in */
  async join(room: string, nick: string, signal: AbortSignal): Promise<void> {
    if (this.#rooms.get(room) === `${room}/${nick}`) return;
    const joined = new Promise<string>((resolve, reject) => {
      this.#joining.set(room, { joined: resolve, failed: reject });
      if (this.#over) reject(closed());
    });
    joined.catch(() => undefined);
    this.#client.send(joinOf(this.#library, room, nick)).catch(() => this.#lost());
    this.#rooms.set(room, await unlessAborted(joined, signal));
  }

  /** Stanzas are handled in order, so any answer to a ping says that the message before was handled. */
  async #pinged(): Promise<void> {
    const ping = pingOf(this.#library, this.#domain);
    await this.#client.iqCaller.request(ping, answerMs).catch((error: Error) => {
      if (error.name === 'StanzaError') return;
      throw new DeliveryFailure('again', "the account's server answered no ping");
    });
  }

  #message(stanza: XmppElement): void {
    const { id = '', type, from = '' } = stanza.attrs;
    const bare = bareOf(from);
    const receipt = stanza.getChild('received', namespaces.receipts)?.attrs['id'];
    const meant = (one: Pending): boolean => one.to === bare && one.id === (receipt ?? id);
    if (type === 'error') {
      for (const one of this.#pending)
        if (one.to === bare && one.id === id) one.failed(failureOf(stanza, 'the receiver'));
    } else if (receipt !== undefined) {
      this.#receipts.set(bare, true);
      for (const one of this.#pending) if (meant(one)) one.received();
    } else if (type === 'groupchat' && this.#rooms.get(bare) === from) {
      for (const one of this.#pending) if (meant(one)) one.received();
    }
  }

  #presence(stanza: XmppElement): void {
    const { from = '', type } = stanza.attrs;
    const room = bareOf(from);
    const joining = this.#joining.get(room);
    if (type === 'error') return joining?.failed(failureOf(stanza, 'the room'));
    const told = stanza.getChild('x', namespaces.roomUser)?.getChildren('status') ?? [];
    const statuses = new Set(told.map(({ attrs }) => attrs['code']));
    if (!statuses.has('110')) return;
    if (type === undefined) return this.#entered(room, from, statuses.has('201'));
    // 303: it goes on under another name.
    if (type !== 'unavailable' || statuses.has('303')) return;
    this.#rooms.delete(room);
    const left = new DeliveryFailure('again', 'the room has put this account out');
    joining?.failed(left);
    for (const one of this.#pending) if (one.to === room) one.failed(left);
  }

  #entered(room: string, occupant: string, created: boolean): void {
    const joining = this.#joining.get(room);
    if (joining === undefined) return;
    if (!created) return joining.joined(occupant);
    const opening = this.#client.iqCaller.request(openRoomOf(this.#library, room), answerMs);
    const failure = new DeliveryFailure('again', 'the new room could not be opened');
    opening.then(
      () => joining.joined(occupant),
      () => joining.failed(failure),
    );
  }

  #lost(): void {
    this.#over = true;
    this.#end();
    for (const one of this.#pending) one.failed(closed());
    for (const one of this.#joining.values()) one.failed(closed());
  }
}

function closed(): DeliveryFailure {
  return new DeliveryFailure('again', "the connection to the account's server has closed");
}

function bareOf(jid: string): string {
  return (jid.split('/', 1)[0] ?? '').toLowerCase();
}
