import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import type { Hold } from 'waymark';

/**
 * A command in a process group of its own that lives no longer than the lock, the term or the permit it runs under.
 *
 * A hold that is not renewed any more passes on when its TTL ends. So the group gets TERM while a quarter of the TTL is left,
 * and KILL when a tenth is, looked at every 50 ms by the hold's own clock. Should this process itself be killed, a shell that
 * holds the other end of a pipe does the same. What nothing here can help against is this process being stopped
 * while the command runs on: for that there is the token.
 */
export interface CommandEnd {
  /** The command's own code; 128 + n when a signal ended it, 126 and 127 when it could not be started. */
  readonly code: number;
  /** It was ended because the hold was about to pass on, or had been taken away. */
  readonly ended: boolean;
}

/** What a command runs under, by the local clock. */
export type Running = Pick<Hold, 'signal' | 'remainingMs'>;

export interface GroupOptions {
  readonly ttlMs: number;
  readonly interrupted: AbortSignal;
  /** Beside this process's own. */
  readonly env: Readonly<Record<string, string>>;
}

const graceMsMax = 10_000;
const lookMs = 50;
const goneMsMax = 2_000;

/** @returns once the whole group is gone */
export async function runUnder(
  hold: Running,
  argv: readonly string[],
  options: GroupOptions,
): Promise<CommandEnd> {
  const [file = '', ...args] = argv;
  const env = { ...process.env, ...options.env };
  const watchdog = new Watchdog(options.ttlMs);
  const child = spawnGated(file, args, env);
  const exit = exitOf(child);
  const { pid } = child;
  if (pid === undefined) {
    watchdog.letGo();
    return { code: await exit, ended: false };
  }
  watchdog.guard(pid);
  begin(child);
  const looking = look(pid, hold, options);
  try {
    return { code: await exit, ended: looking.ended() };
  } finally {
    looking.stop();
    await groupGone(pid);
    watchdog.letGo();
  }
}

const shell = '/bin/sh';

/** Does not begin the command before `begin`: so it never runs without its watchdog, whenever this process is killed. */
function spawnGated(file: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  // Where there is no shell there is no watchdog either.
  if (!existsSync(shell)) return spawn(file, args, { stdio: 'inherit', detached: true, env });
  const script = 'read -r _ <&3 || exit 1; exec 3<&-; exec "$@"';
  return spawn(shell, ['-c', script, 'waymark', file, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    detached: true,
    env,
  });
}

function begin({ stdio }: ChildProcess): void {
  const gate = stdio[3] as Writable | undefined;
  // A command that was ended before it began reads no more.
  gate?.on('error', () => undefined);
  gate?.end('begin\n');
}

function look(
  pid: number,
  hold: Running,
  { ttlMs, interrupted }: GroupOptions,
): { stop: () => void; ended: () => boolean } {
  let ended = false;
  let killAt = Number.POSITIVE_INFINITY;
  const turn = (): void => {
    const leftMs = hold.remainingMs();
    ended ||= leftMs < ttlMs / 4;
    if (killAt === Number.POSITIVE_INFINITY && (ended || interrupted.aborted)) {
      signalGroup(pid, 'SIGTERM');
      killAt = performance.now() + graceMsMax;
    }
    if (leftMs < ttlMs / 10 || performance.now() >= killAt) signalGroup(pid, 'SIGKILL');
  };
  const timer = setInterval(turn, lookMs);
  hold.signal.addEventListener('abort', turn);
  interrupted.addEventListener('abort', turn);
  const stop = (): void => {
    clearInterval(timer);
    hold.signal.removeEventListener('abort', turn);
    interrupted.removeEventListener('abort', turn);
  };
  return { stop, ended: () => ended };
}

/**
 * Ends the group when this process dies: `read` fails at the end of the pipe.
 */
class Watchdog {
  readonly #shell: ChildProcessByStdio<Writable, null, null>;
  #guards = false;

  constructor(ttlMs: number) {
    const end = 'kill -TERM "-$group"; sleep "$1"; kill -KILL "-$group"';
    const script = `read -r group || exit; read -r _ || { ${end}; }`;
    const graceS = Math.min(graceMsMax, ttlMs / 4) / 1_000;
    this.#shell = spawn(shell, ['-c', script, 'waymark-watchdog', String(graceS)], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    // Without a shell it holds as long as this process lives.
    this.#shell.on('error', () => undefined);
    this.#shell.stdin.on('error', () => undefined);
    this.#shell.unref();
  }

  guard(group: number): void {
    this.#guards = true;
    this.#shell.stdin.write(`${group}\n`);
  }

  /** All is over. */
  letGo(): void {
    if (this.#guards) this.#shell.stdin.end('over\n');
    else this.#shell.stdin.end();
  }
}

/** What a command leaves behind in its group is killed: it would go on working without the hold. */
async function groupGone(pid: number): Promise<void> {
  const giveUp = performance.now() + goneMsMax;
  while (signalGroup(pid, 'SIGKILL') && working(pid) && performance.now() < giveUp) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Dead processes that nobody has waited for still count as a group; where there is a /proc, they are told apart. */
function working(group: number): boolean {
  try {
    const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return processes.some((name) => {
      // After the name in brackets: state, parent, group. A process may end while we look.
      const stat = statOf(name);
      const [state, , of] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(of) === group && state !== 'Z' && state !== 'X';
    });
  } catch {
    return true;
  }
}

function statOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return '';
  }
}

/** @returns false when the group is gone */
function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      process.stderr.write(`waymark: ${error.message}\n`);
      resolve(error.code === 'ENOENT' ? 127 : 126);
    });
    child.once('exit', (code, signal) => {
      resolve(signal === null ? (code ?? 0) : 128 + (constants.signals[signal] ?? 0));
    });
  });
}
