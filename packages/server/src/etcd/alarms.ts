import { alarmType } from 'waymark/etcd';
import { type ByteString, type Engine, namespacePrefix, prefixRange } from 'waymark/engine';
import { type Followed, follow } from './follow.js';

export interface Alarm {
  readonly memberId: bigint;
  readonly type: number;
}

/** Alarms stand as `w/etcd/alarm/n/NAMESPACE/TYPE/MEMBER`: they survive restarts, and hold for all servers of an engine. */
const root = 'w/etcd/alarm/';

export class Alarms {
  readonly #engine: Engine;
  /** The keys there are, as of a revision: what each write asks costs no read. */
  #known: Set<ByteString> = new Set();
  #revision = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async load(): Promise<number> {
    const { entries, revision } = await this.#engine.read(prefixRange(root));
    if (revision >= this.#revision) {
      this.#revision = revision;
      this.#known = new Set(entries.map(({ key }) => key));
    }
    return revision;
  }

  /** Goes on with what was loaded until the server stops, and resolves then. */
  follow(parts: Pick<Followed, 'clock' | 'stopping'>): Promise<void> {
    return follow({
      ...parts,
      engine: this.#engine,
      range: prefixRange(root),
      from: this.#revision,
      load: () => this.load(),
      take: ({ changes, revision }) => {
        for (const { kind, entry } of changes) {
          // What was read meanwhile is newer than what comes late.
          if (entry.modRevision <= this.#revision) continue;
          if (kind === 'put') this.#known.add(entry.key);
          else this.#known.delete(entry.key);
        }
        this.#revision = Math.max(this.#revision, revision);
      },
    });
  }

  /** Whether nothing is wrong in any namespace. */
  get none(): boolean {
    return this.#known.size === 0;
  }

  raised(namespace: string, type: number): boolean {
    const prefix = prefixOf(namespace, type);
    for (const key of this.#known) if (key.startsWith(prefix)) return true;
    return false;
  }

  /** @param type  none: of every type */
  async list(namespace: string, type: number): Promise<Alarm[]> {
    const all = type === alarmType.none;
    const prefix = all ? alarmsOf(namespace) : prefixOf(namespace, type);
    const { entries } = await this.#engine.read(prefixRange(prefix));
    return entries.map(({ key }) => {
      const [number = '', member = ''] = key.slice(alarmsOf(namespace).length).split('/');
      return { type: Number(number), memberId: BigInt(member) };
    });
  }

  async activate(namespace: string, alarm: Alarm): Promise<void> {
    const key = keyOf(namespace, alarm);
    await this.#engine.commit({
      when: [{ key, target: 'version', is: '=', to: 0 }],
      apply: [{ type: 'put', key, value: '' }],
    });
    await this.load();
  }

  /** @returns whether it was there */
  async deactivate(namespace: string, alarm: Alarm): Promise<boolean> {
    const apply = [{ type: 'delete', key: keyOf(namespace, alarm) }] as const;
    const { results } = await this.#engine.commit({ apply });
    await this.load();
    const [result] = results;
    return result?.type === 'delete' && result.deleted > 0;
  }
}

function alarmsOf(namespace: string): ByteString {
  return root + namespacePrefix(namespace);
}

function prefixOf(namespace: string, type: number): ByteString {
  return `${alarmsOf(namespace)}${type}/`;
}

function keyOf(namespace: string, { type, memberId }: Alarm): ByteString {
  return prefixOf(namespace, type) + memberId.toString();
}
