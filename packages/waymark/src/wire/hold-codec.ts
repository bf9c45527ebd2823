import type { HeldKeys, HoldEnd, HoldProof, LockMode } from '../core/host.js';
import { pick, readList } from './query-codec.js';
import type { Reader } from './reader.js';
import type { Writer } from './writer.js';

/** How holds and what names them lie on the wire. Numbers in these lists are their positions: append only. */

export interface HoldArgs {
  readonly namespace: string;
  readonly hold: HeldKeys;
}

const modes: readonly LockMode[] = ['exclusive', 'shared'];
export const holdEnds: readonly HoldEnd['kind'][] = ['expired', 'forced', 'removed', 'released'];

export function writeMode(w: Writer, mode: LockMode): void {
  const index = modes.indexOf(mode);
  w.byte(index < 0 ? 0xff : index);
}

export function readMode(r: Reader): LockMode {
  return pick(modes, r.byte());
}

export function writeProof(w: Writer, proof: HoldProof): void {
  const { tree, mode } = proof;
  const known = tree !== undefined && mode !== undefined;
  w.byte(known ? 1 | (tree ? 2 : 0) | (mode === 'shared' ? 4 : 0) : 0);
  w.text(proof.path);
  w.uint(proof.token);
}

export function readProof(r: Reader): HoldProof {
  const bits = r.byte();
  const path = r.text();
  const token = r.uint();
  if ((bits & 1) === 0) return { path, token };
  return { path, token, tree: (bits & 2) !== 0, mode: (bits & 4) === 0 ? 'exclusive' : 'shared' };
}

export function writeHeld(w: Writer, hold: HeldKeys): void {
  w.text(hold.path);
  w.bool(hold.tree);
  writeMode(w, hold.mode);
  w.text(hold.id);
}

export function readHeld(r: Reader): HeldKeys {
  const path = r.text();
  const tree = r.bool();
  const mode = readMode(r);
  return { path, tree, mode, id: r.text() };
}

export function writeHoldArgs(w: Writer, { namespace, hold }: HoldArgs): void {
  w.name(namespace);
  writeHeld(w, hold);
}

export function readHoldArgs(r: Reader): HoldArgs {
  const namespace = r.name();
  return { namespace, hold: readHeld(r) };
}

export function writeTexts(w: Writer, texts: readonly string[]): void {
  w.uint(texts.length);
  for (const text of texts) w.text(text);
}

export function readTexts(r: Reader): string[] {
  return readList(r, 1, (from) => from.text());
}
