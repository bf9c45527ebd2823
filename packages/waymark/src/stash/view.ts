import type {
  ByteString,
  CallOptions,
  Engine,
  Entry,
  KeyRange,
  LeaseId,
  Revision,
} from '../core/engine.js';
import { bytesToText, textToBytes } from '../core/bytes.js';
import { WaymarkError } from '../core/errors.js';
import type { PlacedNode } from './placement.js';

/**
 * What all who use a stash have to agree on, and who the nodes are: at the root of the engine, beside the namespaces.
 *
 *   t/v       the view: by which epoch who keeps what
 *   t/n/NODE  a node, whether it keeps anything yet or not: where it is, what it offers
 *   t/l/NODE  that it is alive, and where it is reached now: under its lease
 *
 * Zone and weight of the nodes stand in the view as well: what decides who keeps what changes with the epoch, and with nothing else.
 */

export interface StashView {
  /** From 1, higher with every change. */
  readonly epoch: number;
  /** Copies that are asked for. */
  readonly replicas: number;
  readonly nodes: readonly PlacedNode[];
}

/** A node as it tells of itself. */
export interface AnnouncedNode extends PlacedNode {
  /** `host:port`; `tls://host:port` where it asks for TLS. */
  readonly address: string;
}

/** The view as it was read: what it is to be at when it is changed. */
export interface SeenView {
  readonly view: StashView;
  readonly revision: Revision;
}

export const viewKey: ByteString = 't/v';
export const viewRange = { key: 't/', end: 't0' } as const satisfies KeyRange;
const nodePrefix = 't/n/';
const alivePrefix = 't/l/';
/** Of what is written: another one is of a later version, and not to be guessed at. */
const format = 1;

const replicasMax = 7;
const nodesMax = 1_000;

export async function readView(engine: Engine, options?: CallOptions): Promise<SeenView | null> {
  const { entries } = await engine.read({ key: viewKey }, options);
  const [entry] = entries;
  return entry === undefined ? null : seenOf(entry);
}

/**
 * Says who a node is, and that it is alive under a lease.
 *
 * @throws {WaymarkError} `not_found` for a lease that has ended, `invalid` for a node that nobody could use
 */
export async function announce(
  engine: Engine,
  node: AnnouncedNode,
  lease: LeaseId,
  options?: CallOptions,
): Promise<void> {
  checkNode(node);
  const { id, zone, weight, address } = node;
  const put = (key: ByteString, value: object, under = 0) =>
    ({ type: 'put', key, value: encode(value), lease: under }) as const;
  const apply = [
    put(nodePrefix + id, { zone, weight, address }),
    put(alivePrefix + id, { address }, lease),
  ];
  await engine.commit({ apply }, options);
}

/**
 * Makes the first view.
 *
 * @returns the one that stands now: an earlier one where there was one
 */
export async function createView(
  engine: Engine,
  view: StashView,
  options?: CallOptions,
): Promise<SeenView> {
  const done = await commitView(engine, view, 0, options);
  const seen = done ?? (await readView(engine, options));
  if (seen !== null) return seen;
  throw new WaymarkError('conflict', 'the view of the stash changes as it is read: try again');
}

/**
 * Puts another view in the place of the one that was seen.
 *
 * @returns null when that one stands no more: read it again
 */
export async function changeView(
  engine: Engine,
  seen: SeenView,
  view: Omit<StashView, 'epoch'>,
  options?: CallOptions,
): Promise<SeenView | null> {
  return await commitView(engine, { ...view, epoch: seen.view.epoch + 1 }, seen.revision, options);
}

/**
 * Forgets a node that keeps nothing.
 *
 * @throws {WaymarkError} `conflict` while the view has it
 */
export async function forgetNode(engine: Engine, id: string, options?: CallOptions): Promise<void> {
  const seen = await readView(engine, options);
  const held = seen?.view.nodes.some((node) => node.id === id) === true;
  const { succeeded } = held
    ? { succeeded: false }
    : await engine.commit(
        {
          when: [{ key: viewKey, target: 'mod', is: '=', to: seen?.revision ?? 0 }],
          apply: [
            { type: 'delete', key: nodePrefix + id },
            { type: 'delete', key: alivePrefix + id },
          ],
        },
        options,
      );
  if (!succeeded) throw new WaymarkError('conflict', `node ${id} keeps data: drain it first`);
}

async function commitView(
  engine: Engine,
  view: StashView,
  revision: Revision,
  options?: CallOptions,
): Promise<SeenView | null> {
  checkView(view);
  const { epoch, replicas, nodes } = view;
  const stored = nodes.map(({ id, zone, weight }) => ({ id, zone, weight }));
  const outcome = await engine.commit(
    {
      when: [{ key: viewKey, target: 'mod', is: '=', to: revision }],
      apply: [
        { type: 'put', key: viewKey, value: encode({ format, epoch, replicas, nodes: stored }) },
      ],
    },
    options,
  );
  return outcome.succeeded ? { view, revision: outcome.revision } : null;
}

/** What is known of the stash. */
export class Known {
  /** Grows with every change. */
  changes = 0;
  readonly #announced = new Map<string, AnnouncedNode>();
  readonly #alive = new Map<string, string>();
  #seen: SeenView | null = null;

  /** Null: no node was there yet. */
  get view(): SeenView | null {
    return this.#seen;
  }

  get epoch(): number {
    return this.#seen?.view.epoch ?? 0;
  }

  /** Those that keep data and those that do not, by id. */
  get nodes(): ReadonlyMap<string, AnnouncedNode> {
    return this.#announced;
  }

  isAlive(id: string): boolean {
    return this.#alive.has(id);
  }

  /** Where a node is reached: where it was last, if it does not say that it is alive. */
  addressOf(id: string): string | undefined {
    return this.#alive.get(id) ?? this.#announced.get(id)?.address;
  }

  /** @param gone  the key was deleted, or vanished */
  take(entry: Entry, gone = false): void {
    const { key } = entry;
    this.changes++;
    if (key === viewKey) this.#seen = gone ? null : seenOf(entry);
    else if (key.startsWith(nodePrefix)) this.#announce(key.slice(nodePrefix.length), entry, gone);
    else if (key.startsWith(alivePrefix)) this.#live(key.slice(alivePrefix.length), entry, gone);
  }

  #announce(id: string, entry: Entry, gone: boolean): void {
    if (gone) return void this.#announced.delete(id);
    const node = { ...decode(entry), id } as AnnouncedNode;
    checkNode(node);
    this.#announced.set(id, node);
  }

  #live(id: string, entry: Entry, gone: boolean): void {
    if (gone) return void this.#alive.delete(id);
    const { address } = decode(entry) as Partial<AnnouncedNode>;
    checkAddress(address);
    this.#alive.set(id, address);
  }
}

function seenOf(entry: Entry): SeenView {
  const { format: written, ...view } = decode(entry) as { format?: unknown } & StashView;
  if (written !== format) {
    const why = `the stash is of a later version (format ${String(written)}): update this process`;
    throw new WaymarkError('invalid', why);
  }
  checkView(view);
  return { view, revision: entry.modRevision };
}

function encode(value: object): ByteString {
  return textToBytes(JSON.stringify(value));
}

function decode({ key, value }: Entry): object {
  try {
    const decoded = JSON.parse(bytesToText(value)) as unknown;
    if (typeof decoded === 'object' && decoded !== null) return decoded;
  } catch (cause) {
    throw new WaymarkError('corrupt', `${key} of the stash is no JSON`, {}, cause);
  }
  throw new WaymarkError('corrupt', `${key} of the stash is no object`);
}

/** @throws {WaymarkError} `invalid` for what cannot be one */
export function checkView({ epoch, replicas, nodes }: StashView): void {
  if (!Number.isSafeInteger(epoch) || epoch < 1) throw invalid('an epoch is a number from 1 on');
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > replicasMax) {
    throw invalid(`a stash keeps 1 to ${replicasMax} copies`);
  }
  if (!Array.isArray(nodes) || nodes.length > nodesMax) {
    throw invalid(`a stash has at most ${nodesMax} nodes`);
  }
  for (const node of nodes) checkPlaced(node);
  if (new Set(nodes.map(({ id }) => id)).size < nodes.length) throw invalid('a node stands twice');
}

function checkNode(node: AnnouncedNode): void {
  checkPlaced(node);
  checkAddress(node.address);
}

function checkPlaced({ id, zone, weight }: PlacedNode): void {
  if (!/^[\w-]{1,64}$/.test(id)) throw invalid('the id of a node has 1 to 64 of A–Z a–z 0–9 _ -');
  if (typeof zone !== 'string' || zone.length > 128) throw invalid('a zone is a text of 128 chars');
  if (typeof weight !== 'number' || !(weight >= 0.001 && weight <= 1_000)) {
    throw invalid('the weight of a node is a number from 0.001 to 1 000');
  }
}

function checkAddress(address: unknown): asserts address is string {
  if (typeof address === 'string' && /^(?:tls:\/\/)?[\w.:[\]-]{3,300}$/.test(address)) return;
  throw invalid('a node is reached at host:port or tls://host:port');
}

function invalid(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}
