import {
  checkNamespaceName,
  type KeyRange,
  prefixEnd,
  resolvePath,
  textToBytes,
  WaymarkError,
} from 'waymark/engine';
import { RangeSet } from './range-set.js';

/** What can be done on a path; `observe` alone is about the server, and the stash has `read` and `write`. */
export const actions = [
  'read',
  'watch',
  'write',
  'lock',
  'lead',
  'send',
  'watchers',
  'observe',
  'admin',
] as const;
export type Action = (typeof actions)[number];

/** Any namespace, any index. */
export const anyName = '*';

/** What a role permits on a path and all below it, or on an index of the stash. */
export type Rule = PathRule | StashRule;

export interface PathRule {
  readonly actions: readonly Action[];
  /** `*`: in all. */
  readonly namespace: string;
  /** Canonical. */
  readonly path: string;
}

export interface StashRule {
  readonly actions: readonly Action[];
  /** `*`: all. */
  readonly stash: string;
}

/**
 * A rule as somebody wrote it, in its canonical form.
 * @throws {WaymarkError} `invalid`, `too_large`
 */
export function ruleOf(given: {
  readonly actions: readonly string[];
  readonly namespace?: string | undefined;
  readonly path?: string | undefined;
  readonly stash?: string | undefined;
}): Rule {
  const { stash, namespace = 'default', path = '/' } = given;
  const unknown = given.actions.find((one) => !actions.includes(one as Action));
  if (unknown !== undefined || given.actions.length === 0) {
    const text = `'${unknown ?? ''}' is no action: take ${actions.join(', ')}`;
    throw new WaymarkError('invalid', text);
  }
  const asked = actions.filter((one) => given.actions.includes(one));
  if (stash !== undefined) {
    if (asked.some((one) => one !== 'read' && one !== 'write' && one !== 'admin')) {
      throw new WaymarkError('invalid', 'a rule of the stash permits read, write and admin');
    }
    return { actions: asked, stash };
  }
  if (namespace !== anyName) checkNamespaceName(namespace);
  return { actions: asked, namespace, path: resolvePath('/', path) };
}

export function sameSubject(a: Rule, b: Rule): boolean {
  if ('stash' in a || 'stash' in b) return 'stash' in a && 'stash' in b && a.stash === b.stash;
  return a.namespace === b.namespace && a.path === b.path;
}

/** Where keys of a facet stand for a path and all below it, without the facet. */
export function pathRanges(path: string): readonly KeyRange[] {
  if (path === '/') return [{ key: '', end: '' }];
  const bytes = textToBytes(path);
  // Recipes put NUL behind the path; what is put there as data is a key of no path, and lies at none.
  return [
    { key: bytes, end: `${bytes}\x01` },
    { key: `${bytes}/`, end: `${bytes}0` },
  ];
}

/** Where data stands for a path and all below it, without the facet. */
export function dataRanges(path: string): readonly KeyRange[] {
  if (path === '/') return [{ key: '', end: '' }];
  const bytes = textToBytes(path);
  return [{ key: bytes }, { key: `${bytes}/`, end: prefixEnd(`${bytes}/`) }];
}

/** What a set of rules permits; worked out as it is asked for. */
export class RuleSet {
  readonly #rules: readonly Rule[];
  readonly #sets = new Map<string, RangeSet>();

  constructor(rules: readonly Rule[]) {
    this.#rules = rules;
  }

  /** Permits everything. */
  get everything(): boolean {
    return this.#rules.some(
      (rule) =>
        'path' in rule &&
        rule.namespace === anyName &&
        rule.path === '/' &&
        rule.actions.includes('admin'),
    );
  }

  /** Whether any rule is about this namespace. */
  names(namespace: string): boolean {
    return this.#rules.some((rule) => 'path' in rule && applies(rule, namespace));
  }

  /** @param range  of a facet's keys, without the facet */
  allows(action: Action, namespace: string, range: KeyRange, data: boolean): boolean {
    const name = `${data ? 'd' : 'p'}${action}/${namespace}`;
    let set = this.#sets.get(name);
    if (set === undefined) {
      // Namespaces are named by callers: what is kept has a bound.
      if (this.#sets.size >= 1_000) this.#sets.clear();
      set = new RangeSet(this.rangesOf(action, namespace, data));
      this.#sets.set(name, set);
    }
    return set.covers(range);
  }

  rangesOf(action: Action, namespace: string, data: boolean): readonly KeyRange[] {
    return this.#rules.flatMap((rule) => {
      if (!('path' in rule) || !applies(rule, namespace) || !permits(rule, action)) return [];
      return data ? dataRanges(rule.path) : pathRanges(rule.path);
    });
  }

  allowsStash(action: Action, index: string): boolean {
    return this.#rules.some(
      (rule) =>
        'stash' in rule &&
        (rule.stash === anyName || rule.stash === index) &&
        permits(rule, action),
    );
  }

  get observes(): boolean {
    return this.#rules.some(
      (rule) => 'path' in rule && rule.namespace === anyName && permits(rule, 'observe'),
    );
  }
}

function applies(rule: PathRule, namespace: string): boolean {
  return rule.namespace === anyName || rule.namespace === namespace;
}

function permits(rule: Rule, action: Action): boolean {
  return rule.actions.includes(action) || rule.actions.includes('admin');
}
