import type { ByteString, Revision } from '../../core/engine.js';
import { assert } from '../../core/errors.js';
import { fields, readAnswerBytes, revisionIn, type WrittenTxn } from './txn-bytes.js';
import { bytesField, ProtobufReader } from './protobuf.js';
import { txnSizeMax } from './txn-codec.js';

/** A group holds about so many bytes, well below etcd's 1.5 MiB. */
export const groupBytesMax = 524_288;

/** Of what a group does at one place: puts of commits that are checked by the same, or one commit of any other kind. */
interface Part {
  readonly checks: ByteString;
  operations: ByteString;
  /** Of etcd's limit. */
  size: number;
  /** 0 of a commit of another kind. */
  puts: number;
}

/** Of a commit of puts, whether they were done, and false when its checks failed; of any other etcd's answer to it. */
export type PartAnswer = Buffer | boolean;

export interface GroupAnswer {
  readonly revision: Revision;
  /** Of each commit, in their order. */
  readonly answers: readonly PartAnswer[];
}

/**
 * Commits that are one transaction of etcd's. Of those of puts alone all that have the same checks, byte for byte, share them, and are done
 * or refused together, as each would be: none in a group writes what another checks. A namespace in which nobody holds a lock is
 * checked once for a whole group. Puts that nothing is checked for stand at the top, which costs etcd less by a third than nested ones.
 */
export class TxnGroup {
  /** Nothing more fits. */
  closed = false;
  readonly #parts: Part[] = [];
  /** Of each commit. */
  readonly #partOf: Part[] = [];
  readonly #shared = new Map<ByteString, Part>();
  #operations = 0;
  #below = 0;
  #bytes = 0;

  /** Whether there was room for this one too. The first always fits. */
  takes(request: WrittenTxn): boolean {
    const { checks, operations, puts } = request;
    const known = puts === 0 ? undefined : this.#shared.get(checks);
    const size = Math.max(request.size, known?.size ?? 0, puts + (known?.puts ?? 0));
    const loose = isLoose(request);
    const more = loose ? puts : known === undefined ? 1 : 0;
    const below = loose ? this.#below : Math.max(this.#below, size);
    const single = this.#parts.length === 0 || (this.#parts.length === 1 && known !== undefined);
    const taken = single ? size : this.#operations + more + below;
    const bytes = this.#bytes + checks.length + operations.length;
    if (this.#partOf.length > 0 && (taken > txnSizeMax || bytes > groupBytesMax)) return false;
    this.#operations += more;
    this.#below = below;
    this.#bytes = bytes;
    this.closed = taken >= txnSizeMax;
    this.#add(request, known, size);
    return true;
  }

  /** @param ownKey  put by a branch that never runs, as nothing is checked: etcd counts the room that puts take at the top alone */
  write(ownKey: ByteString): ByteString {
    const [only] = this.#parts;
    if (only !== undefined && this.#parts.length === 1) return only.checks + only.operations;
    let bytes = bytesField(
      fields.failure,
      bytesField(fields.requestPut, bytesField(fields.key, ownKey)),
    );
    for (const part of this.#parts) bytes += isLoose(part) ? part.operations : nested(part);
    return bytes;
  }

  /** @throws {WaymarkError} `internal` for what is no answer to this group */
  read(bytes: Buffer): GroupAnswer {
    const [only] = this.#parts;
    if (only !== undefined && this.#parts.length === 1) {
      const answer = answerOf(only, bytes);
      return { revision: readAnswerBytes(bytes).revision, answers: this.#partOf.map(() => answer) };
    }
    const { revision, answers } = readParts(this.#parts, bytes);
    return { revision, answers: this.#partOf.map((part) => answers.get(part) as PartAnswer) };
  }

  #add({ checks, operations, puts }: WrittenTxn, known: Part | undefined, size: number): void {
    if (known !== undefined) {
      known.operations += operations;
      known.puts += puts;
      known.size = size;
      this.#partOf.push(known);
      return;
    }
    const part = { checks, operations, size, puts };
    if (puts > 0) this.#shared.set(checks, part);
    this.#parts.push(part);
    this.#partOf.push(part);
  }
}

function isLoose({ checks, puts }: Pick<Part, 'checks' | 'puts'>): boolean {
  return puts > 0 && checks === '';
}

function nested({ checks, operations }: Part): ByteString {
  return bytesField(fields.success, bytesField(fields.requestTxn, checks + operations));
}

function readParts(
  parts: readonly Part[],
  bytes: Buffer,
): { readonly revision: Revision; readonly answers: ReadonlyMap<Part, PartAnswer> } {
  const reader = new ProtobufReader(bytes);
  const answers = new Map<Part, PartAnswer>();
  let [revision, looseLeft] = [0, 0];
  while (reader.next()) {
    if (reader.field === fields.header) revision = revisionIn(reader.bytes());
    else if (reader.field !== fields.responses) reader.skip();
    else if (looseLeft > 0) {
      reader.skip();
      looseLeft--;
    } else {
      const part = parts[answers.size];
      assert(part !== undefined, 'etcd answers each of a group');
      if (isLoose(part)) {
        reader.skip();
        answers.set(part, true);
        looseLeft = part.puts - 1;
      } else answers.set(part, answerOf(part, readNestedBytes(reader.bytes())));
    }
  }
  assert(looseLeft === 0 && answers.size === parts.length, 'etcd answers each of a group');
  return { revision, answers };
}

function readNestedBytes(response: Buffer): Buffer {
  const reader = new ProtobufReader(response);
  assert(reader.next() && reader.field === fields.responseTxn, 'etcd answers each of a group');
  return reader.bytes();
}

function answerOf({ puts }: Part, bytes: Buffer): PartAnswer {
  if (puts === 0) return bytes;
  const { succeeded, responses } = readAnswerBytes(bytes);
  assert(responses === (succeeded ? puts : 0), 'etcd answers each operation');
  return succeeded;
}
