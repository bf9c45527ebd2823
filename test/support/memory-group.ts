import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = '/sys/fs/cgroup';

/** A control group of Linux that bounds the memory of processes, pages of files that they map among it. */
export class MemoryGroup implements Disposable {
  readonly #path: string;
  readonly #names: Names;

  private constructor(path: string, names: Names) {
    this.#path = path;
    this.#names = names;
  }

  /** @returns why there is none where none can be made */
  static make(bytes: number): MemoryGroup | { readonly missing: string } {
    const isFirst = existsSync(join(root, 'memory/memory.limit_in_bytes'));
    const names = isFirst ? first : second;
    const path = join(root, isFirst ? 'memory' : '', `waymark-test-${process.pid}`);
    try {
      mkdirSync(path);
      writeFileSync(join(path, names.limit), String(bytes));
      return new MemoryGroup(path, names);
    } catch (error) {
      if (existsSync(path)) rmdirSync(path);
      return { missing: `no memory control group can be made: ${(error as Error).message}` };
    }
  }

  /** A command line that runs another one in the group. */
  around(command: readonly string[]): string[] {
    const enter = 'echo $$ > "$0" && exec "$@"';
    return ['sh', '-c', enter, join(this.#path, 'cgroup.procs'), ...command];
  }

  /** The most that it had at any time. */
  get peakBytes(): number {
    return Number(readFileSync(join(this.#path, this.#names.peak), 'utf8'));
  }

  /** Once its processes are gone. */
  [Symbol.dispose](): void {
    rmdirSync(this.#path);
  }
}

/** Files of the two versions of control groups. */
interface Names {
  readonly limit: string;
  readonly peak: string;
}
const first: Names = { limit: 'memory.limit_in_bytes', peak: 'memory.max_usage_in_bytes' };
const second: Names = { limit: 'memory.max', peak: 'memory.peak' };
