import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import { pause } from '../core/pause.js';

/**
 * An etcd outlives a supervisor that was killed: that keeps the cluster's majority. Its pid is written down, and the next supervisor of the
 * directory ends it before it starts its own. A pid alone proves nothing, as it may be another process's by then: what counts is a process
 * of that pid whose arguments name this member's data directory.
 */
const pidFileName = 'etcd.pid';
const politeMs = 5_000;
const killedMs = 5_000;
const lookMs = 20;

export function writePid(directory: string, pid: number): void {
  writeFileSync(join(directory, pidFileName), `${pid}\n`, { mode: 0o600 });
}

export function removePid(directory: string): void {
  rmSync(join(directory, pidFileName), { force: true });
}

/** @returns the pid of an etcd that was ended; null when there was none @throws {WaymarkError} `taken` when it cannot be ended */
export async function endSurvivor(
  directory: string,
  data: string,
  clock: Clock,
): Promise<number | null> {
  const pid = readPid(directory);
  if (pid === null || !isEtcdOn(pid, data)) return null;
  for (const [signal, withinMs] of [
    ['SIGTERM', politeMs],
    ['SIGKILL', killedMs],
  ] as const) {
    const until = clock.now() + withinMs;
    send(pid, signal);
    while (isEtcdOn(pid, data)) {
      if (clock.now() > until) break;
      await pause(clock, lookMs, undefined, true);
    }
    if (!isEtcdOn(pid, data)) return pid;
  }
  throw new WaymarkError('taken', `etcd with pid ${pid} has ${data} and cannot be ended`, {
    file: data,
  });
}

function readPid(directory: string): number | null {
  try {
    const pid = Number(readFileSync(join(directory, pidFileName), 'utf8'));
    return Number.isSafeInteger(pid) && pid > 1 ? pid : null;
  } catch {
    return null;
  }
}

function isEtcdOn(pid: number, data: string): boolean {
  return argumentsOf(pid).includes(`--data-dir=${data}`);
}

/** Empty for a process that has ended, a zombie among them. */
function argumentsOf(pid: number): readonly string[] {
  try {
    if (process.platform === 'linux')
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).split(/\s/);
  } catch {
    return [];
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended.
  }
}
