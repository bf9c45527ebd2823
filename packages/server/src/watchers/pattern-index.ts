import { type ByteString, textToBytes } from 'waymark/engine';
import { type Glob, readPattern } from './glob.js';
import { LiteralTree } from './literal-tree.js';

interface Registered<T> {
  readonly matches: Glob['matches'];
  readonly values: Set<T>;
}

const none: readonly never[] = [];

type Patterns<T> = Map<string, Registered<T>>;

/**
 * Which of many patterns match a path. Each pattern is matched once, however many registered it; and only patterns are looked at whose literal beginning and
 * literal ending the path has. Those that have neither, as `*x*`, are all looked at.
 */
export class PatternIndex<T> {
  readonly #byBeginning = new LiteralTree<LiteralTree<Patterns<T>>>({ backwards: false });
  #size = 0;
  /** What is being looked for, and what was found so far. */
  #text: ByteString = '';
  #found: T[] = [];

  get size(): number {
    return this.#size;
  }

  add(pattern: string, value: T): void {
    const { beginning, ending, matches } = readPattern(pattern);
    let byEnding = this.#byBeginning.get(beginning);
    if (byEnding === undefined) {
      byEnding = new LiteralTree<Patterns<T>>({ backwards: true });
      this.#byBeginning.set(beginning, byEnding);
    }
    let patterns = byEnding.get(ending);
    if (patterns === undefined) byEnding.set(ending, (patterns = new Map()));
    let registered = patterns.get(pattern);
    if (registered === undefined) {
      registered = { matches, values: new Set() };
      patterns.set(pattern, registered);
    }
    if (registered.values.has(value)) return;
    registered.values.add(value);
    this.#size += 1;
  }

  remove(pattern: string, value: T): void {
    const { beginning, ending } = readPattern(pattern);
    const byEnding = this.#byBeginning.get(beginning);
    const patterns = byEnding?.get(ending);
    const registered = patterns?.get(pattern);
    if (registered?.values.delete(value) !== true) return;
    this.#size -= 1;
    if (registered.values.size > 0) return;
    patterns?.delete(pattern);
    if (patterns?.size === 0) byEnding?.delete(ending);
    if (byEnding?.empty === true) this.#byBeginning.delete(beginning);
  }

  match(path: string): readonly T[] {
    return this.matchBytes(textToBytes(path));
  }

  /** @param text  the path as it stands in a key */
  matchBytes(text: ByteString): readonly T[] {
    this.#text = text;
    this.#byBeginning.along(text, this.#alongEndings);
    const found = this.#found;
    if (found.length === 0) return none;
    this.#found = [];
    return found;
  }

  // Nearly every path matches nothing: looking makes no objects.
  readonly #alongEndings = (byEnding: LiteralTree<Patterns<T>>): void =>
    byEnding.along(this.#text, this.#look);

  readonly #look = (patterns: Patterns<T>): void => {
    for (const { matches, values } of patterns.values())
      if (matches(this.#text)) this.#found.push(...values);
  };
}
