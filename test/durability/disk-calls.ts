import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/**
 * What a process asked of a disk, as strace wrote it down (`-f -xx`), and what may be found on that disk when the power goes.
 *
 * What was written before a sync began is there once that sync has ended. Of what was written later each block of 512 bytes may be there or not, in any combination.
 */
export type DiskCall =
  | { readonly type: 'write'; readonly at: number; readonly bytes: Buffer }
  | { readonly type: 'length'; readonly to: number }
  /** Ended: what came before call number `from` is on the disk. */
  | { readonly type: 'synced'; readonly from: number }
  /** A line on the standard output of the process. */
  | { readonly type: 'said'; readonly line: string };

export const tracedCalls = 'openat,close,write,writev,pwrite64,pwritev,fdatasync,fsync,ftruncate';

/** @param file  the end of the path of the one that is looked at */
export async function readCalls(trace: string, file: string): Promise<DiskCall[]> {
  const reader = new TraceReader(file);
  for await (const line of createInterface({ input: createReadStream(trace) })) reader.take(line);
  return reader.calls;
}

class TraceReader {
  readonly calls: DiskCall[] = [];
  readonly #file: string;
  /** Of the file: true where each write is a sync of its own. */
  readonly #open = new Map<number, boolean>();
  /** Calls that had not ended when another thread went on, by thread. */
  readonly #unfinished = new Map<string, { readonly head: string; readonly from: number }>();

  constructor(file: string) {
    this.#file = file;
  }

  take(line: string): void {
    const [, thread = '', text = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    if (text.endsWith('<unfinished ...>')) {
      const head = text.slice(0, -'<unfinished ...>'.length);
      // What is being written may be there from here on.
      const from = this.calls.length;
      this.#unfinished.set(thread, { head, from });
      if (!/^(?:openat|f?data?sync)/.test(head)) this.#begin(head);
      return;
    }
    const rest = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)?.[1];
    if (rest === undefined) {
      this.#begin(text);
      this.#end(text, this.calls.length);
      return;
    }
    const begun = this.#unfinished.get(thread);
    this.#unfinished.delete(thread);
    if (begun !== undefined) this.#end(begun.head + rest, begun.from);
  }

  #begin(text: string): void {
    const [, call = '', number = ''] = /^(\w+)\((\d+)/.exec(text) ?? [];
    const fd = Number(number);
    if (call === 'write' && fd === 1) {
      this.calls.push({ type: 'said', line: bytesOf(text).toString() });
      return;
    }
    if (!this.#open.has(fd)) return;
    if (call === 'ftruncate') {
      this.calls.push({ type: 'length', to: Number(/, (\d+)/.exec(text)?.[1]) });
    } else if (call.startsWith('pwrite')) {
      const at = Number(argumentsOf(text).match(/\d+/g)?.at(-1));
      this.calls.push({ type: 'write', at, bytes: bytesOf(text) });
    }
  }

  #end(text: string, from: number): void {
    const [, call = '', number = ''] = /^(\w+)\((\d+)/.exec(text) ?? [];
    const result = Number(/= (-?\d+)(?: |$)/.exec(text)?.[1] ?? -1);
    if (text.startsWith('openat(')) {
      const path = bytesOf(text).toString();
      if (result >= 0 && path.endsWith(this.#file)) this.#open.set(result, /O_D?SYNC/.test(text));
      return;
    }
    const fd = Number(number);
    const syncs = this.#open.get(fd);
    if (syncs === undefined || result < 0) return;
    if (call === 'close') this.#open.delete(fd);
    else if (call.endsWith('sync')) this.calls.push({ type: 'synced', from });
    else if (syncs && call.startsWith('pwrite')) {
      this.calls.push({ type: 'synced', from: this.calls.length });
    }
  }
}

/** Without texts, and without the result. */
function argumentsOf(text: string): string {
  return text.replaceAll(/"[^"]*"/g, '').split(')')[0] ?? '';
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
  until: number,
  random: () => number,
  synced = true,
): Buffer {
  let durable = 0;
  for (const call of calls.slice(0, until)) {
    if (synced && call.type === 'synced') durable = Math.max(durable, call.from);
  }
  const sectors = new Map<number, Buffer>();
  let length = 0;
  const style = random();
  for (const [number, call] of calls.slice(0, until).entries()) {
    // Some states keep nearly all, some nearly nothing.
    const kept = (): boolean => number < durable || random() < style;
    if (call.type === 'length' && kept()) length = Math.max(length, call.to);
    if (call.type !== 'write') continue;
    const whole = random() < 0.5;
    const all = kept();
    for (let from = 0; from < call.bytes.length; from += sectorBytes) {
      if (!(whole ? all : kept())) continue;
      sectors.set(call.at + from, call.bytes.subarray(from, from + sectorBytes));
    }
  }
  for (const [at, { length: bytes }] of sectors) length = Math.max(length, at + bytes);
  const file = Buffer.alloc(length);
  for (const [at, bytes] of sectors) file.set(bytes, at);
  return file;
}
