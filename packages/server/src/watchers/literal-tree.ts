import type { ByteString } from 'waymark/engine';

interface Node<V> {
  /** What leads here from the node above, in the direction of the walk. */
  label: ByteString;
  /** By the first char of their labels. Absent while there are none: most nodes are leaves. */
  below: Map<number, Node<V>> | undefined;
  value: V | undefined;
}

/**
 * Texts with a value each, found by any text that begins with them, or, read `backwards`, ends with them: a radix tree. What a search costs depends on the
 * text that is looked for, and not on how many there are.
 */
export class LiteralTree<V> {
  readonly #backwards: boolean;
  readonly #root: Node<V> = { label: '', below: undefined, value: undefined };

  constructor({ backwards }: { readonly backwards: boolean }) {
    this.#backwards = backwards;
  }

  get empty(): boolean {
    return this.#root.value === undefined && this.#root.below === undefined;
  }

  get(literal: ByteString): V | undefined {
    const text = this.#turned(literal);
    let node: Node<V> | undefined = this.#root;
    for (let at = 0; at < text.length;) {
      node = node.below?.get(text.charCodeAt(at));
      if (node === undefined || !text.startsWith(node.label, at)) return undefined;
      at += node.label.length;
    }
    return node.value;
  }

  set(literal: ByteString, value: V): void {
    const text = this.#turned(literal);
    let node = this.#root;
    for (let at = 0; at < text.length;) {
      node.below ??= new Map();
      const next = node.below.get(text.charCodeAt(at));
      if (next === undefined) {
        const leaf = { label: text.slice(at), below: undefined, value };
        node.below.set(text.charCodeAt(at), leaf);
        return;
      }
      const common = commonLength(next.label, text, at);
      node = common === next.label.length ? next : split(node.below, next, common);
      at += common;
    }
    node.value = value;
  }

  delete(literal: ByteString): void {
    this.#delete(this.#root, this.#turned(literal), 0);
  }

  /** Values of all that the text begins with (ends with), the shortest first. */
  along(text: ByteString, found: (value: V) => void): void {
    const { length } = text;
    let node: Node<V> | undefined = this.#root;
    let at = 0;
    for (;;) {
      if (node.value !== undefined) found(node.value);
      if (at === length || node.below === undefined) return;
      node = node.below.get(text.charCodeAt(this.#backwards ? length - 1 - at : at));
      if (node === undefined || !this.#stands(node.label, text, at)) return;
      at += node.label.length;
    }
  }

  #stands(label: ByteString, text: ByteString, at: number): boolean {
    if (!this.#backwards) return text.startsWith(label, at);
    const last = text.length - 1 - at;
    for (let i = 0; i < label.length; i++)
      if (label.charCodeAt(i) !== text.charCodeAt(last - i)) return false;
    return true;
  }

  #delete(node: Node<V>, text: ByteString, at: number): void {
    if (at === text.length) {
      node.value = undefined;
      return;
    }
    const key = text.charCodeAt(at);
    const next = node.below?.get(key);
    if (next === undefined || !text.startsWith(next.label, at)) return;
    this.#delete(next, text, at + next.label.length);
    if (next.value !== undefined || next.below !== undefined) return;
    node.below?.delete(key);
    if (node.below?.size === 0) node.below = undefined;
  }

  #turned(literal: ByteString): ByteString {
    return this.#backwards ? [...literal].reverse().join('') : literal;
  }
}

function commonLength(label: ByteString, text: ByteString, from: number): number {
  let length = 1;
  while (length < label.length && label.charCodeAt(length) === text.charCodeAt(from + length))
    length += 1;
  return length;
}

/** Puts a node between: what is common of the label leads to it, and the rest on from there. */
function split<V>(siblings: Map<number, Node<V>>, node: Node<V>, length: number): Node<V> {
  const { label } = node;
  node.label = label.slice(length);
  const below = new Map([[label.charCodeAt(length), node]]);
  const between = { label: label.slice(0, length), below, value: undefined };
  siblings.set(label.charCodeAt(0), between);
  return between;
}
