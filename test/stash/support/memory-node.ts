import { type Clock, WaymarkError } from 'waymark/engine';
import {
  answerBytesMax,
  HybridClock,
  isNewer,
  KeyHash,
  type NodeHint,
  type NodePage,
  type NodeRead,
  type NodeScan,
  type NodeWrite,
  Packer,
  type StashNode,
  type StashVersion,
  Unpacker,
} from 'waymark/stash';

/** A storage node in memory, and what can go wrong with one. */
export class MemoryNode implements StashNode {
  /** Refuses requests below it. */
  epoch = 0;
  /** Not reached at all. */
  down = false;
  /** Answers when it is let go on. */
  held = false;
  /** Applies what it is told and then fails to say so. */
  mute = false;
  full = false;
  readonly calls = { read: 0, versions: 0, write: 0, scan: 0, keysRead: 0 };
  readonly indexesHeld = new Map<string, Map<string, StashVersion>>();
  readonly damaged = new Set<string>();
  /** `node index key` of what others missed. */
  readonly hints: string[] = [];
  readonly #clock: Clock;
  readonly #stamps: HybridClock;
  #release: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#stamps = new HybridClock(clock);
  }

  goOn(): void {
    this.held = false;
    for (const release of this.#release.splice(0)) release();
  }

  /** What it holds of a key, whatever its time. */
  peek(index: string, key: string): StashVersion | undefined {
    return this.indexesHeld.get(index)?.get(key);
  }

  async read({ epoch, index, keys, versionsOnly }: NodeRead): Promise<Uint8Array> {
    this.calls[versionsOnly ? 'versions' : 'read']++;
    await this.#reached(epoch);
    const unpacker = new Unpacker(keys);
    const packer = new Packer();
    while (!unpacker.done && packer.bytes < answerBytesMax) {
      const key = unpacker.key();
      this.calls.keysRead++;
      if (this.damaged.has(key)) packer.finding('damaged');
      else packer.finding(this.#shown(this.peek(index, key), versionsOnly));
    }
    return packer.take();
  }

  async write({ epoch, index, entries }: NodeWrite): Promise<number> {
    this.calls.write++;
    await this.#reached(epoch);
    if (this.full) throw new WaymarkError('storage_full', 'the disk is full');
    const held = this.indexesHeld.get(index) ?? new Map<string, StashVersion>();
    this.indexesHeld.set(index, held);
    const wanted = [...unpackEntries(entries)];
    for (const [, { stamp }] of wanted) this.#stamps.admit(stamp);
    let newer = 0;
    for (const [key, version] of wanted) {
      const before = this.damaged.has(key) ? undefined : held.get(key);
      if (before !== undefined && isNewer(before, version)) {
        if (before.writer !== version.writer) newer = Math.max(newer, before.stamp);
        continue;
      }
      this.damaged.delete(key);
      held.set(key, { ...version, value: version.value === null ? null : copy(version.value) });
    }
    if (this.mute) throw new WaymarkError('uncertain', 'no answer came');
    return newer;
  }

  async scan(ask: NodeScan): Promise<NodePage> {
    this.calls.scan++;
    await this.#reached(ask.epoch);
    const { index, partitions, prefix, after, limit, versionsOnly } = ask;
    const hash = new KeyHash(Buffer.from(index).toString('latin1'));
    const wanted = [...(this.indexesHeld.get(index) ?? [])]
      .map(([key, version]) => ({ key, version, partition: hash.partition(key) }))
      .filter(({ partition }) => ((partitions[partition >> 3] ?? 0) & (1 << (partition & 7))) !== 0)
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => a.partition - b.partition || (a.key < b.key ? -1 : 1));
    const first = Array.from({ length: 4_096 }, (_, p) => p).find(
      (p) => ((partitions[p >> 3] ?? 0) & (1 << (p & 7))) !== 0,
    );
    const left = wanted.filter(
      ({ partition, key }) => after === undefined || partition !== first || key > after,
    );
    const packer = new Packer();
    let count = 0;
    for (const { key, version } of left) {
      if (count === limit || packer.bytes >= answerBytesMax) break;
      count++;
      packer.key(key);
      packer.finding(this.damaged.has(key) ? 'damaged' : this.#shown(version, versionsOnly));
    }
    return { entries: packer.take(), more: count < left.length };
  }

  async hint({ node, index, keys }: NodeHint): Promise<void> {
    const unpacker = new Unpacker(keys);
    while (!unpacker.done) this.hints.push(`${node} ${index} ${unpacker.key()}`);
  }

  async indexes(): Promise<readonly string[]> {
    await this.#reached(this.epoch);
    return [...this.indexesHeld.keys()];
  }

  #shown(version: StashVersion | undefined, versionsOnly: boolean): StashVersion | null {
    if (version === undefined) return null;
    const over = version.expiresAt !== 0 && version.expiresAt <= this.#clock.wallNow();
    if (over || version.value === null) return { ...version, value: null };
    return versionsOnly ? { ...version, value: new Uint8Array() } : version;
  }

  async #reached(epoch: number): Promise<void> {
    if (this.down) throw new WaymarkError('unavailable', 'the node is down');
    if (this.held) await new Promise<void>((resolve) => this.#release.push(resolve));
    if (epoch < this.epoch) throw new WaymarkError('superseded', `the epoch is ${this.epoch}`);
  }
}

export function* unpackEntries(entries: Uint8Array): Generator<readonly [string, StashVersion]> {
  for (const unpacker = new Unpacker(entries); !unpacker.done;) {
    const key = unpacker.key();
    const version = unpacker.finding();
    if (version === null || version === 'damaged') throw new Error('no entry');
    yield [key, version];
  }
}

function copy(value: Uint8Array): Uint8Array {
  return Uint8Array.from(value);
}
