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
import { hostMethods } from '../wire/host-methods.js';
import type { Method } from '../wire/method.js';
import { type RecipeArgs, recipeMethod } from '../wire/recipe-methods.js';
import { type CallTable, serve, type ServedCall, tableOf } from '../wire/serve/served-calls.js';
import { ServedPort } from '../wire/serve/served-port.js';
import { type ListenAddress, ownAddress, parseListen } from './listen-address.js';
import { ListenerBox } from './listener-box.js';

/**
 * A port of this process at which members take their messages, from each other without a server in between. It speaks the wire protocol and
 * serves what brings messages and streams into boxes by their names: of the space itself nothing is reachable. All memberships that ask for
 * the same `listen` share one; it is closed when the last of them has left.
 */

/** Senders have one connection each; one more is closed at once. */
const connectionsMax = 1_000;

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
  readonly #port: ServedPort;
  readonly #token: string | undefined;
  readonly #closed: () => void;

  private constructor(parts: {
    readonly port: ServedPort;
    readonly host: string | undefined;
    readonly boxes: Map<string, ListenerBox>;
    readonly token: string | undefined;
    readonly closed: () => void;
  }) {
    this.#port = parts.port;
    this.#token = parts.token;
    this.#closed = parts.closed;
    this.boxes = parts.boxes;
    this.address = `${parts.host ?? ownAddress()}:${parts.port.port}`;
  }

  static async open(
    { host, port }: ListenAddress,
    token: string | undefined,
    clock: Clock,
    closed: () => void,
  ): Promise<Listener> {
    const boxes = new Map<string, ListenerBox>();
    const table = tableFor(boxes);
    const options = { host, port, clock, table, name: 'member', token, connectionsMax };
    return new Listener({ port: await ServedPort.open(options), host, boxes, token, closed });
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
    if (this.boxes.size === 0) await (this.over ??= this.#port.close().then(this.#closed));
  }
}

type Boxes = ReadonlyMap<string, ListenerBox>;

function tableFor(boxes: Boxes): CallTable {
  const methods = [
    ...Object.values(engineMethods),
    ...Object.values(hostMethods),
    ...recipeCalls.map((call) => recipeMethod(call as RecipeCall<unknown, unknown>)),
  ] as Method<unknown, unknown>[];
  const why = 'a member that listens takes messages and nothing else';
  return tableOf([
    ...methods.map((method) => serve.refused(method, why)),
    serve.waiting(
      recipeMethod(deliver),
      (call, options) => deliverInto(boxes, call, options),
      'ends',
    ),
    streamed(boxes, push),
    streamed(boxes, pull),
  ]);
}

function streamed<Args extends object, Result>(
  boxes: Boxes,
  call: RecipeCall<Args, Result>,
): ServedCall {
  return serve.waiting(recipeMethod(call), async ({ namespace: box, args }, options) => {
    const found = boxes.get(box);
    if (found === undefined) throw new WaymarkError('unavailable', 'the member is not here now');
    return await found.run(call, box, { ...args, relayed: true }, options);
  });
}

/** What finds no box was meant for an earlier stay, perhaps of another process. */
async function deliverInto(
  boxes: Boxes,
  { namespace: box, args }: RecipeArgs<Parameters<typeof deliver.run>[1]>,
  options?: { readonly signal?: AbortSignal | undefined },
): Promise<Delivery> {
  const found = boxes.get(box);
  if (found === undefined) return refused(`${args.member} does not listen here by now: try again`);
  return await found.run(deliver, box, { ...args, relayed: true }, options);
}
