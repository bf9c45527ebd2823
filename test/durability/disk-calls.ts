import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/**
 * What a process asked of a disk, as strace wrote it down (`-f -xx`), and what may be found on that disk when the power goes.
 *
 * A write is there for certain once a sync has ended that began after it had ended; one to a file that was opened with O_DSYNC once it has itself ended, and no other with it. Of all
 * others each block of 512 bytes may be there or not, in any combination.
 */
export type DiskCall =
  | (Durable & { readonly type: 'write'; readonly at: number; readonly bytes: Buffer })
  | (Durable & { readonly type: 'length'; readonly to: number })
  /** A line on the standard output of the process. */
  | { readonly type: 'said'; readonly line: string };

interface Durable {
  /** On the disk before the call of this number. */
  by: number;
}

/** LMDB's binary writes pages that lie together by `lseek` and `writev`, and others by `pwrite64`. */
export const tracedCalls =
  'openat,close,lseek,write,writev,pwrite64,pwritev,fdatasync,fsync,ftruncate';

/** @param file  the end of the path of the one that is looked at */
export async function readCalls(trace: string, file: string): Promise<DiskCall[]> {
  const reader = new TraceReader(file);
  for await (const line of createInterface({ input: createReadStream(trace) })) reader.take(line);
  return reader.calls;
}

interface OpenFile {
  /** Each write is a sync of its own. */
  readonly syncs: boolean;
  at: number;
}

/** A call that was read up to where another thread went on. */
interface Begun {
  readonly head: string;
  /** What is written, and may be there from here on. */
  readonly call: DiskCall | null;
  /** What had ended before it, and is on the disk once this has ended, if it is a sync. */
  readonly before: readonly Durable[];
}

class TraceReader {
  readonly calls: DiskCall[] = [];
  readonly #file: string;
  readonly #open = new Map<number, OpenFile>();
  readonly #begun = new Map<string, Begun>();
  /** Ended, and not synced. */
  readonly #afloat = new Set<Durable>();

  constructor(file: string) {
    this.#file = file;
  }

  take(line: string): void {
    const [, thread = '', text = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)?.[1];
    if (resumed !== undefined) {
      const begun = this.#begun.get(thread);
      this.#begun.delete(thread);
      if (begun !== undefined) this.#end({ ...begun, head: begun.head + resumed });
    } else if (text.endsWith(unfinished)) {
      this.#begun.set(thread, this.#begin(text.slice(0, -unfinished.length)));
    } else this.#end(this.#begin(text));
  }

  #begin(head: string): Begun {
    const call = this.#callOf(head);
    if (call !== null) this.calls.push(call);
    const isSync = nameOf(head).name.endsWith('sync');
    return { head, call, before: isSync ? [...this.#afloat] : [] };
  }

  #callOf(head: string): DiskCall | null {
    const { name, fd } = nameOf(head);
    if (name === 'write' && fd === 1) return { type: 'said', line: bytesOf(head).toString() };
    const file = this.#open.get(fd);
    if (file === undefined) return null;
    if (name === 'ftruncate') return { type: 'length', to: lastNumber(head), by: Infinity };
    const bytes = bytesOf(head);
    if (name.startsWith('pwrite'))
      return { type: 'write', at: lastNumber(head), bytes, by: Infinity };
    if (name !== 'write' && name !== 'writev') return null;
    const at = file.at;
    file.at += bytes.length;
    return { type: 'write', at, bytes, by: Infinity };
  }

  #end({ head, call, before }: Begun): void {
    const { name, fd } = nameOf(head);
    const result = Number(/= (-?\d+)/.exec(head.slice(head.lastIndexOf(')')))?.[1] ?? -1);
    if (name === 'openat') {
      const path = bytesOf(head).toString();
      const syncs = /O_D?SYNC/.test(head);
      if (result >= 0 && path.endsWith(this.#file)) this.#open.set(result, { syncs, at: 0 });
      return;
    }
    const file = this.#open.get(fd);
    if (file === undefined || result < 0) return;
    if (name === 'close') this.#open.delete(fd);
    else if (name === 'lseek') file.at = result;
    else if (name.endsWith('sync')) this.#synced(before);
    else if (call !== null && call.type !== 'said') {
      this.#afloat.add(call);
      if (file.syncs) this.#synced([call]);
    }
  }

  #synced(durable: readonly Durable[]): void {
    for (const one of durable) {
      one.by = Math.min(one.by, this.calls.length);
      this.#afloat.delete(one);
    }
  }
}

const unfinished = '<unfinished ...>';

function nameOf(text: string): { readonly name: string; readonly fd: number } {
  const [, name = '', fd = ''] = /^(\w+)\((\d+)?/.exec(text) ?? [];
  return { name, fd: Number(fd) };
}

/** Of the arguments, without texts and the result. */
function lastNumber(text: string): number {
  const [args = ''] = text.replaceAll(/"[^"]*"/g, '').split(')');
  return Number(args.match(/\d+/g)?.at(-1));
}

/** All texts of a line, one after the other. */
function bytesOf(text: string): Buffer {
  const hex = [...text.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, one = '']) => one);
  return Buffer.from(hex.join('').replaceAll('\\x', ''), 'hex');
}

const sectorBytes = 512;

/**
 * A file as it may be found after so many calls.
 *
 * @param synced  whether syncs are believed; without, any write may be missing: that is what a control is for
 */
export function afterPowerLoss(
  calls: readonly DiskCall[],
  random: () => number,
  synced = true,
): Buffer {
  const ends = calls.map((call) => (call.type === 'write' ? call.at + call.bytes.length : 0));
  const file = Buffer.alloc(ends.reduce((most, end) => Math.max(most, end), 0));
  let length = 0;
  // Some states keep nearly all, some nearly nothing.
  const style = random();
  for (const call of calls) {
    if (call.type === 'said') continue;
    const isSafe = synced && call.by < calls.length;
    const kept = (): boolean => isSafe || random() < style;
    if (call.type === 'length') {
      if (kept()) length = Math.max(length, call.to);
      continue;
    }
    const { at, bytes } = call;
    const whole = random() < 0.5;
    const all = kept();
    for (let from = 0; from < bytes.length;) {
      const end = Math.min(bytes.length, from + sectorBytes - ((at + from) % sectorBytes));
      if (whole ? all : kept()) {
        bytes.copy(file, at + from, from, end);
        length = Math.max(length, at + end);
      }
      from = end;
    }
  }
  return file.subarray(0, length);
}
