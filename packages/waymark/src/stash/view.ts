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
 *   t/m/NODE  how far it is with its part of a move
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
  /** While data moves: who is written to as well. */
  readonly also?: Also | undefined;
  /** Ids of nodes that went, the last of them: what they hold counts no more. */
  readonly left?: readonly string[] | undefined;
}

/**
 * The other side of a move (rules D6.1 to D6.3). `filling`: who will keep the data, and is being filled. `settling`: who kept it before, until all of them know that they do no more.
 */
export interface Also {
  readonly phase: 'filling' | 'settling';
  readonly nodes: readonly PlacedNode[];
  /** The epoch in which the phase began: what nodes tell of their part in it carries it. */
  readonly since: number;
  readonly paused?: boolean | undefined;
  /** Ids of nodes that never come back: nobody waits for what only they have, or for a word of them (rule D6.9). */
  readonly lost?: readonly string[] | undefined;
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
export const nodePrefix = 't/n/';
export const alivePrefix = 't/l/';
export const movePrefix = 't/m/';
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
  const put = (key: ByteString, value: object, under: LeaseId = 0) =>
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
            { type: 'delete', key: movePrefix + id },
            { type: 'delete', key: nodePrefix + id },
            { type: 'delete', key: alivePrefix + id },
          ],
        },
        options,
      );
  if (!succeeded) throw new WaymarkError('conflict', `node ${id} keeps data: drain it first`);
}

export async function commitView(
  engine: Engine,
  view: StashView,
  revision: Revision,
  options?: CallOptions,
): Promise<SeenView | null> {
  checkView(view);
  const { epoch, replicas, nodes, also, left } = view;
  const placed = ({ id, zone, weight }: PlacedNode): PlacedNode => ({ id, zone, weight });
  const stored = {
    ...{ format, epoch, replicas, nodes: nodes.map(placed), left },
    also: also === undefined ? undefined : { ...also, nodes: also.nodes.map(placed) },
  };
  const outcome = await engine.commit(
    {
      when: [{ key: viewKey, target: 'mod', is: '=', to: revision }],
      apply: [{ type: 'put', key: viewKey, value: encode(stored) }],
    },
    options,
  );
  return outcome.succeeded ? { view, revision: outcome.revision } : null;
}

export function seenOf(entry: Entry): SeenView {
  const { format: written, ...view } = decode(entry) as { format?: unknown } & StashView;
  if (written !== format) {
    const why = `the stash is of a later version (format ${String(written)}): update this process`;
    throw new WaymarkError('invalid', why);
  }
  checkView(view);
  return { view, revision: entry.modRevision };
}

export function encode(value: object): ByteString {
  return textToBytes(JSON.stringify(value));
}

export function decode({ key, value }: Entry): object {
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

export function checkNode(node: AnnouncedNode): void {
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

export function checkAddress(address: unknown): asserts address is string {
  if (typeof address === 'string' && /^(?:tls:\/\/)?[\w.:[\]-]{3,300}$/.test(address)) return;
  throw invalid('a node is reached at host:port or tls://host:port');
}

function invalid(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}
