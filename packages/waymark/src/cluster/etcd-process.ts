import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../core/clock.js';
import { endSurvivor, removePid, writePid } from './survivor.js';

export interface EtcdProcessOptions {
  readonly binary: string;
  readonly directory: string;
  readonly data: string;
  readonly clock: Clock;
  readonly told: (message: string) => void;
}

const restartMs = { first: 100, most: 5_000 } as const;
/** Who ran so long was well: the next restart is quick again. */
const wellMs = 10_000;
/** SIGTERM lets a leader hand over. */
const politeMs = 5_000;
const logBytesMax = 8 * 1_024 * 1_024;
const tailBytes = 4_096;

/** One etcd, started again whenever it ends by itself. */
export class EtcdProcess {
  readonly #options: EtcdProcessOptions;
  #child: ChildProcess | null = null;
  #flags: readonly string[] = [];
  #wanted = false;
  #startedAt = 0;
  #backoffMs: number = restartMs.first;
  #cancelRestart: () => void = () => {};
  /** Ends in a row, each soon after its start. */
  failures = 0;

  constructor(options: EtcdProcessOptions) {
    this.#options = options;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /**
   * @param once  flags for this start alone, not for those after it
   * @throws {WaymarkError} `taken` when one of an earlier supervisor cannot be ended
   */
  async start(flags: readonly string[], once: readonly string[] = []): Promise<void> {
    const { directory, data, clock, told } = this.#options;
    const ended = await endSurvivor(directory, data, clock);
    if (ended !== null) told(`ended etcd ${ended}, which had outlived its supervisor`);
    this.#flags = flags;
    this.#wanted = true;
    this.failures = 0;
    this.#backoffMs = restartMs.first;
    this.#spawn(once);
  }

  /** @returns once it is gone; `first` is the signal that it gets at once, SIGKILL comes 5 s later in any case */
  async stop(first: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#wanted = false;
    this.#cancelRestart();
    const child = this.#child;
    if (child !== null) {
      const over = new Promise<void>((resolve) => {
        child.once('exit', () => resolve()).once('error', () => resolve());
      });
      child.kill(first);
      const late = this.#options.clock.after(politeMs, () => child.kill('SIGKILL'), true);
      await over;
      late();
    }
    removePid(this.#options.directory);
  }

  /** The last lines that it wrote: why it ended, if it did. */
  log(): string {
    try {
      const file = this.#logFile();
      const { size } = statSync(file);
      const handle = openSync(file, 'r');
      const bytes = Buffer.alloc(Math.min(size, tailBytes));
      readSync(handle, bytes, 0, bytes.length, size - bytes.length);
      closeSync(handle);
      return bytes.toString().trim().split('\n').slice(-3).join('\n');
    } catch {
      return '';
    }
  }

  #spawn(once: readonly string[] = []): void {
    try {
      this.#child = this.#launch([...this.#flags, ...once]);
    } catch (error) {
      this.#options.told(`etcd cannot be started: ${String(error)}`);
      this.#again();
    }
  }

  #launch(flags: readonly string[]): ChildProcess {
    const { binary, directory, clock } = this.#options;
    // A file and no pipe: etcd must be able to write on when this process is killed. A group of its own: an interrupt from the
    // terminal is for this process, which ends etcd last.
    const log = this.#openLog();
    const stdio = ['ignore', log, log] as const;
    let child: ChildProcess;
    try {
      child = spawn(binary, flags, { stdio: [...stdio], detached: true, env: environment() });
    } finally {
      closeSync(log);
    }
    this.#startedAt = clock.now();
    child.unref();
    child.once('error', () => this.#ended(child, null, null));
    child.once('exit', (code, signal) => this.#ended(child, code, signal));
    if (child.pid !== undefined) this.#notePid(directory, child.pid);
    return child;
  }

  /** Without it the next supervisor could not end an etcd that outlived this one: etcd's own lock on its data still keeps two apart. */
  #notePid(directory: string, pid: number): void {
    try {
      writePid(directory, pid);
    } catch (error) {
      this.#options.told(`cannot write the pid of etcd: ${String(error)}`);
    }
  }

  #ended(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#child !== child) return;
    const { clock, told } = this.#options;
    this.#child = null;
    const ranMs = clock.now() - this.#startedAt;
    if (!this.#wanted) return;
    if (ranMs > wellMs) {
      this.failures = 0;
      this.#backoffMs = restartMs.first;
    }
    told(`etcd ended by ${signal ?? `exit code ${code}`}`);
    this.#again();
  }

  #again(): void {
    this.failures++;
    this.#cancelRestart = this.#options.clock.after(this.#backoffMs, () => this.#spawn(), true);
    this.#backoffMs = Math.min(this.#backoffMs * 2, restartMs.most);
  }

  #openLog(): number {
    const file = this.#logFile();
    try {
      if (statSync(file).size > logBytesMax) renameSync(file, `${file}.1`);
    } catch {
      // The first.
    }
    return openSync(file, 'a', 0o600);
  }

  #logFile(): string {
    return join(this.#options.directory, 'etcd.log');
  }
}

/** Variables named ETCD_… are flags to etcd, and none of ours. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('ETCD_')),
  );
}
