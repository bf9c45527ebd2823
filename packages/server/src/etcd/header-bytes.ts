import {
  bytesSize,
  create,
  type ProtobufWriter,
  ResponseHeaderSchema,
  toBinary,
  uintSize,
} from 'waymark/etcd';
import type { Revision } from 'waymark/engine';
import type { Ground } from './ground.js';

/** The header of every answer, encoded by hand: of it the revision alone changes. It is field 1 of whatever it heads. */
export class HeaderBytes {
  /** Its other fields. */
  readonly #ids: Uint8Array;

  constructor(header: Ground['header']) {
    const ids = create(ResponseHeaderSchema, { ...header(0), revision: 0n });
    this.#ids = toBinary(ResponseHeaderSchema, ids);
  }

  size(revision: Revision): number {
    return bytesSize(this.#length(revision));
  }

  write(writer: ProtobufWriter, revision: Revision): void {
    writer.begin(1, this.#length(revision));
    writer.raw(this.#ids);
    writer.uint(3, revision);
  }

  #length(revision: Revision): number {
    return this.#ids.length + 1 + uintSize(revision);
  }
}
