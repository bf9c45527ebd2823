import type { Batch, ByteString, Change, Entry } from '../core/engine.js';
import { bytesToText } from '../core/bytes.js';
import { decodeParty } from '../recipes/lock-queue.js';
import { decodeMember } from '../recipes/members.js';
import { groupLeaderFacet } from './layout.js';
import type { Member, MembersChange, MembersView } from './member-types.js';

/** What a group is at one revision. */
export interface PresentGroup {
  readonly revision: number;
  readonly members: readonly Entry[];
  /** The leader's. */
  readonly mark: Entry | undefined;
}

interface Difference<M> {
  readonly joined: Member<M>[];
  readonly left: Member<M>[];
  readonly failed: Member<M>[];
  readonly missed: Member<M>[];
  readonly updated: Member<M>[];
}

/**
 * A group as one watch knows it. Every view is a change of the one before by exactly one revision of the engine; a whole list takes its
 * place only where history was compacted, and then what is gone is told as missed.
 */
export class GroupState<M> {
  readonly #members = new Map<ByteString, Member<M>>();
  #mark: Entry | undefined;

  /** @returns what is there now against what was known */
  reset({ revision, members, mark }: PresentGroup): MembersChange<M> {
    const difference = nothing<M>();
    const before = new Map(this.#members);
    this.#members.clear();
    for (const entry of members) {
      this.#put(entry, before.get(entry.key), difference);
      if (before.get(entry.key)?.incarnation === entry.createRevision) before.delete(entry.key);
    }
    difference.missed.push(...before.values());
    this.#mark = mark;
    return this.#view(revision, difference);
  }

  /** @returns one view for each revision of the batch that changed something */
  *take({ changes }: Batch): Iterable<MembersChange<M>> {
    for (let at = 0; at < changes.length;) {
      const revision = (changes[at] as Change).entry.modRevision;
      const difference = nothing<M>();
      for (; changes[at]?.entry.modRevision === revision; at++) {
        this.#apply(changes[at] as Change, difference);
      }
      yield this.#view(revision, difference);
    }
  }

  #apply({ kind, entry }: Change, difference: Difference<M>): void {
    if (entry.key.startsWith(groupLeaderFacet)) {
      // The end of a term may stand beside the begin of the next, in either order.
      if (kind === 'put') this.#mark = entry;
      else if (this.#mark?.key === entry.key) this.#mark = undefined;
      return;
    }
    const known = this.#members.get(entry.key);
    if (kind === 'put') return this.#put(entry, known, difference);
    this.#members.delete(entry.key);
    if (known !== undefined) difference[kind === 'expire' ? 'failed' : 'left'].push(known);
  }

  #put(entry: Entry, known: Member<M> | undefined, difference: Difference<M>): void {
    const member = decodeMember<M>(entry);
    this.#members.set(entry.key, member);
    if (known?.incarnation !== member.incarnation) difference.joined.push(member);
    else if (known.revision !== member.revision) difference.updated.push(member);
  }

  #view(epoch: number, difference: Difference<M>): MembersChange<M> {
    const ordered = [...this.#members].sort(([a], [b]) => (a < b ? -1 : 1));
    const members = ordered.map(([, member]) => member);
    return { epoch, members, leader: leaderOf(this.#mark), ...difference };
  }
}

/** Who leads a group, by its mark. */
export function leaderOf(mark: Entry | undefined): MembersView['leader'] {
  if (mark === undefined) return null;
  const { says = '' } = decodeParty(mark.value);
  return { id: bytesToText(says), term: mark.createRevision };
}

function nothing<M>(): Difference<M> {
  return { joined: [], left: [], failed: [], missed: [], updated: [] };
}
