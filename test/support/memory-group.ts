import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A control group of Linux that bounds the memory of processes, pages of files that they read, write and map among it. */
export class MemoryGroup implements Disposable {
  readonly #path: string;
  readonly #names: Names;

  private constructor(path: string, names: Names) {
    this.#path = path;
    this.#names = names;
  }

  /**
   * By the version of control groups that has the memory of this machine.
   *
   * @param root  where they are mounted
   * @throws saying what to do, where this machine lets nobody make one
   */
  static make(root = '/sys/fs/cgroup'): MemoryGroup {
    const isFirst = existsSync(join(root, 'memory/memory.limit_in_bytes'));
    const path = join(root, isFirst ? 'memory' : '', `waymark-test-${process.pid}`);
    const group = new MemoryGroup(path, isFirst ? first : second);
    try {
      if (!existsSync(path)) mkdirSync(path);
      // A group of the second version has this file only where its parent hands memory on.
      readFileSync(join(path, group.#names.limit));
      return group;
    } catch (cause) {
      const advice = `run it as root, with ${root} writable, and for version 2 with 'echo +memory > ${root}/cgroup.subtree_control'`;
      throw new Error(`no control group for memory can be made here: ${advice}`, { cause });
    }
  }

  /** A command line that runs another one in the group. */
  around(command: readonly string[]): [string, ...string[]] {
    const enter = 'echo $$ > "$0" && exec "$@"';
    return ['sh', '-c', enter, join(this.#path, 'cgroup.procs'), ...command];
  }

  /** What its processes have of their own, without pages of files. */
  get anonymousBytes(): number {
    const stat = readFileSync(join(this.#path, 'memory.stat'), 'utf8');
    return Number(new RegExp(`^${this.#names.anonymous} (\\d+)$`, 'm').exec(stat)?.[1]);
  }

  /** From here on it has no more than this; what it has beyond is taken from it. */
  limit(bytes: number): void {
    writeFileSync(join(this.#path, this.#names.limit), String(bytes));
  }

  /** What it has, pages of files among it. */
  get usedBytes(): number {
    return Number(readFileSync(join(this.#path, this.#names.used), 'utf8'));
  }

  /** How often it was given nothing until something had been taken from it. */
  get refusals(): number {
    const [file, name] = this.#names.refusals;
    const text = readFileSync(join(this.#path, file), 'utf8');
    return Number(new RegExp(`^${name}(\\d+)$`, 'm').exec(text)?.[1]);
  }

  /** Once its processes are gone. */
  [Symbol.dispose](): void {
    rmdirSync(this.#path);
  }
}

/** Files of the two versions of control groups. */
interface Names {
  readonly limit: string;
  readonly used: string;
  readonly anonymous: string;
  /** A file, and what its line begins with. */
  readonly refusals: readonly [file: string, name: string];
}
const first: Names = {
  limit: 'memory.limit_in_bytes',
  used: 'memory.usage_in_bytes',
  anonymous: 'total_rss',
  refusals: ['memory.failcnt', ''],
};
const second: Names = {
  limit: 'memory.max',
  used: 'memory.current',
  anonymous: 'anon',
  refusals: ['memory.events', 'max '],
};
