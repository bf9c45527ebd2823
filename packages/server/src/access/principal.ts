import type { KeyRange } from 'waymark/engine';
import { RangeSet } from './range-set.js';
import { type Action, type Rule, RuleSet } from './rules.js';

/** What etcd's permissions are about. */
export type KeyAction = 'read' | 'write';

/** What a role permits on a range of keys of the namespace that etcd's API serves. */
export interface Grant {
  readonly range: KeyRange;
  readonly actions: readonly KeyAction[];
}

/** All that servers ask of each other: they pass on what a client of theirs may do. */
export const peerActions: ReadonlySet<string> = new Set([
  'messages.deliver',
  'streams.push',
  'streams.pull',
]);

export interface PrincipalParts {
  readonly root: boolean;
  readonly grants?: readonly Grant[];
  readonly rules?: readonly Rule[];
  /** The namespace that grants are about. */
  readonly grantedIn: string;
  /** Default false. */
  readonly peer?: boolean | undefined;
}

/** Who acts, and what all their roles together permit. */
export class Principal {
  readonly name: string;
  /** May do everything. */
  readonly root: boolean;
  /** Another server over the same engine, known by its secret and never by a name. */
  readonly peer: boolean;
  readonly rules: RuleSet;
  readonly #grantedIn: string;
  readonly #grants: readonly Grant[];
  readonly #keys = new Map<Action, RangeSet>();

  constructor(name: string, parts: PrincipalParts) {
    this.name = name;
    this.rules = new RuleSet(parts.rules ?? []);
    this.root = parts.root || this.rules.everything;
    this.peer = parts.peer === true;
    this.#grants = parts.grants ?? [];
    this.#grantedIn = parts.grantedIn;
  }

  /** Whether it may do this on every key of a range of data. */
  allowsData(action: Action, namespace: string, range: KeyRange): boolean {
    if (this.root) return true;
    if (namespace !== this.#grantedIn) return this.rules.allows(action, namespace, range, true);
    return this.#keysFor(action).covers(range);
  }

  /** The same for what recipes keep for paths, without the facet. */
  allowsPaths(action: Action, namespace: string, range: KeyRange): boolean {
    return this.root || this.rules.allows(action, namespace, range, false);
  }

  /** Whether it has anything to do with a namespace. */
  names(namespace: string): boolean {
    if (this.root || this.rules.names(namespace)) return true;
    return namespace === this.#grantedIn && this.#grants.length > 0;
  }

  #keysFor(action: Action): RangeSet {
    const known = this.#keys.get(action);
    if (known !== undefined) return known;
    const as = action === 'watch' ? 'read' : action;
    const granted = this.#grants.filter(({ actions }) => actions.includes(as as KeyAction));
    const made = new RangeSet([
      ...granted.map(({ range }) => range),
      ...this.rules.rangesOf(action, this.#grantedIn, true),
    ]);
    this.#keys.set(action, made);
    return made;
  }
}
