import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { type CommandEnd, graceMsMax, GroupEnd, type Running } from './group-end.js';

export interface GroupOptions {
  /** What is held, for people: 'the lock on /a'. */
  readonly title: string;
  readonly ttlMs: number;
  readonly interrupted: AbortSignal;
  /** Beside this process's own. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Runs a command in a process group of its own that lives no longer than the lock, the term or the permit it runs under.
 *
 * `GroupEnd` ends it in time. Should this process itself be killed, a shell that holds the other end of a pipe does the
 * same. What nothing here can help against is this process being stopped while the command runs on: for that there is the token.
 *
 * @returns once the whole group is gone, or the hold is lost and it cannot be ended
 */
export async function runUnder(
  hold: Running,
  argv: readonly string[],
  { env: own, ...options }: GroupOptions,
): Promise<CommandEnd> {
  const [file = '', ...args] = argv;
  const env = { ...process.env, ...own };
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
  const group = new GroupEnd({ ...options, group: pid, hold });
  void exit.then((code) => group.exited(code));
  try {
    return await group.over;
  } finally {
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
