import { createHash, timingSafeEqual } from 'node:crypto';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Clock, Random } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import type { Host } from '../core/host.js';
import type { RecipeCall } from '../core/recipe-call.js';
import { recipeCalls } from '../recipes/calls.js';
import { checkHostPort, listenerAt } from '../recipes/listener-address.js';
import { deliver } from '../recipes/messages.js';
import { pull, push } from '../recipes/streams.js';
import { type Delivery, refused } from '../recipes/outgoing.js';
import { engineMethods } from '../wire/engine-methods.js';
import type { Hello } from '../wire/hello.js';
import { hostMethods } from '../wire/host-methods.js';
import type { Method } from '../wire/method.js';
import { type RecipeArgs, recipeMethod } from '../wire/recipe-methods.js';
import { ServedConnections } from '../wire/serve/served-connections.js';
import { type CallTable, serve, type ServedCall, tableOf } from '../wire/serve/served-calls.js';
import { startListening } from '../wire/serve/start-listening.js';
import { type ListenAddress, ownAddress, parseListen } from './listen-address.js';
import { ListenerBox } from './listener-box.js';

/**
 * A port of this process at which members take their messages, from each other without a server in between. It speaks the wire protocol and
 * serves what brings messages and streams into boxes by their names: of the space itself nothing is reachable. All memberships that ask for
 * the same `listen` share one; it is closed when the last of them has left.
 */

/** Senders have one connection each; one more is closed at once. */
const connectionsMax = 1_000;
/** What was answered is read by then, or lost. */
const goodbyeMs = 1_000;

export interface BoxRequest {
  readonly listen: string;
  readonly advertise: string | undefined;
  readonly token: string | undefined;
  readonly host: Host;
  readonly namespace: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** By what was asked for: `:0` is one free port, for all who say so. */
const listeners = new Map<string, Promise<Listener>>();

/**
 * Opens a box for one member, at the listener that is there or a new one.
 *
 * @throws {WaymarkError} `invalid`; `taken` when another process has the port; `conflict` when it listens already with another token
 */
export async function openBox(request: BoxRequest): Promise<ListenerBox> {
  const { listen, advertise, token, random } = request;
  const address = parseListen(listen);
  if (advertise !== undefined) checkHostPort(advertise);
  const key = `${address.host ?? ''}:${address.port}`;
  for (;;) {
    let known = listeners.get(key);
    if (known === undefined) {
      known = Listener.open(address, token, request.clock, () => listeners.delete(key));
      listeners.set(key, known);
      known.catch(() => listeners.delete(key));
    }
    const listener = await known;
    if (listener.over !== null) {
      await listener.over;
      continue;
    }
    listener.check(token);
    const at = listenerAt(advertise ?? listener.address);
    const box = new ListenerBox({
      ...request,
      address: { at, box: random.id() },
      close: () => listener.remove(box.address.box),
    });
    listener.boxes.set(box.address.box, box);
    return box;
  }
}

class Listener {
  readonly boxes = new Map<string, ListenerBox>();
  /** `host:port`, as others reach it. */
  readonly address: string;
  /** Resolves when the port is free again; null while it is open. */
  over: Promise<void> | null = null;
  readonly #server: Server;
  readonly #sockets: ReadonlySet<Socket>;
  readonly #token: string | undefined;
  readonly #clock: Clock;
  readonly #connections: ServedConnections;
  readonly #closed: () => void;

  private constructor(parts: {
    readonly server: Server;
    readonly sockets: Set<Socket>;
    readonly address: string;
    readonly token: string | undefined;
    readonly clock: Clock;
    readonly closed: () => void;
  }) {
    const { server, sockets, token, clock } = parts;
    this.#server = server;
    this.#sockets = sockets;
    this.#token = token;
    this.#clock = clock;
    this.#closed = parts.closed;
    this.address = parts.address;
    this.#connections = new ServedConnections({
      clock,
      table: this.#table(),
      raw: false,
      server: 'waymark member',
      admit: (hello) => admit(hello, token),
    });
    server.on('connection', (socket: Socket) => {
      // A reset is no event of note.
      socket.on('error', () => socket.destroy());
      if (sockets.size >= connectionsMax || this.over !== null) return void socket.destroy();
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      this.#connections.serve(socket);
    });
  }

  static async open(
    { host, port }: ListenAddress,
    token: string | undefined,
    clock: Clock,
    closed: () => void,
  ): Promise<Listener> {
    const server = createServer();
    const bindTo = host?.replace(/^\[|\]$/g, '');
    await startListening(server, bindTo === undefined ? { port } : { host: bindTo, port });
    const bound = (server.address() as AddressInfo).port;
    const address = `${host ?? ownAddress()}:${bound}`;
    return new Listener({ server, sockets: new Set(), address, token, clock, closed });
  }

  /** @throws {WaymarkError} `conflict` unless it is the token that this listener asks for */
  check(token: string | undefined): void {
    if (token === this.#token) return;
    const why = `this process listens on ${this.address} with another token: take another port`;
    throw new WaymarkError('conflict', why);
  }

  /** The last one closes the port. */
  async remove(box: string): Promise<void> {
    this.boxes.delete(box);
    if (this.boxes.size === 0) await (this.over ??= this.#close());
  }

  async #close(): Promise<void> {
    const free = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // What was answered in this turn is written in it.
    await new Promise<void>((resolve) => this.#clock.nextTurn(resolve));
    const disarm = this.#clock.after(goodbyeMs, () => {
      for (const socket of this.#sockets) socket.destroy();
    });
    await this.#connections.drain(goodbyeMs);
    await free;
    disarm();
    this.#closed();
  }

  #table(): CallTable {
    const methods = [
      ...Object.values(engineMethods),
      ...Object.values(hostMethods),
      ...recipeCalls.map((call) => recipeMethod(call as RecipeCall<unknown, unknown>)),
    ] as Method<unknown, unknown>[];
    const why = 'a member that listens takes messages and nothing else';
    return tableOf([
      ...methods.map((method) => serve.refused(method, why)),
      serve.waiting(recipeMethod(deliver), (call, options) => this.#deliver(call, options), true),
      this.#streamed(push),
      this.#streamed(pull),
    ]);
  }

  #streamed<Args extends object, Result>(call: RecipeCall<Args, Result>): ServedCall {
    return serve.waiting(recipeMethod(call), async ({ namespace: box, args }, options) => {
      const found = this.boxes.get(box);
      if (found === undefined) throw new WaymarkError('unavailable', 'the member is not here now');
      return await found.run(call, box, { ...args, relayed: true }, options);
    });
  }

  /** What finds no box was meant for an earlier stay, perhaps of another process. */
  async #deliver(
    { namespace: box, args }: RecipeArgs<Parameters<typeof deliver.run>[1]>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<Delivery> {
    const found = this.boxes.get(box);
    if (found === undefined)
      return refused(`${args.member} does not listen here by now: try again`);
    return await found.run(deliver, box, { ...args, relayed: true }, options);
  }
}

/** @throws {WaymarkError} `unauthenticated` */
function admit({ token = '' }: Hello, wanted: string | undefined): void {
  if (wanted === undefined || timingSafeEqual(digest(token), digest(wanted))) return;
  const why = 'this member asks for a token: join with the one its group shares';
  throw new WaymarkError('unauthenticated', why);
}

/** Of equal length, whatever was sent. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
