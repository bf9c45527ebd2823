import { type ChildProcess, spawn } from 'node:child_process';
import { limits, type Message } from 'waymark';

/** At once; the others wait in the order in which they came. */
const runningMax = 16;
const waitingMax = 1_000;
/** Of what a sender is told. */
const whyMax = 1_000;

/**
 * Handles messages by a command of the shell: a message is its standard input, what it prints is the reply, and an exit code other than 0
 * refuses the message in the words of its standard error. Each runs in a process group of its own, so that what interrupts this process
 * lets it finish what it has begun.
 */
export class MessageCommand {
  readonly #command: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #running = new Set<ChildProcess>();
  readonly #waiting: (() => void)[] = [];
  #free = runningMax;

  /** @param env  beside this process's own */
  constructor(command: string, env: Readonly<Record<string, string>>) {
    this.#command = command;
    this.#env = env;
  }

  readonly handle = async (message: Message): Promise<Uint8Array> => {
    if (this.#free > 0) this.#free--;
    else if (this.#waiting.length >= waitingMax) throw new Error('too many messages wait for it');
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await this.#run(message);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  };

  /** What runs is killed. */
  end(): void {
    for (const child of this.#running) kill(child);
  }

  async #run({ from, guest, kind, term, body }: Message): Promise<Uint8Array> {
    const env = {
      ...process.env,
      ...this.#env,
      WAYMARK_FROM: from,
      WAYMARK_GUEST: String(guest),
      WAYMARK_MESSAGE_KIND: kind,
      ...(term === null ? {} : { WAYMARK_TERM: String(term) }),
    };
    const child = spawn('/bin/sh', ['-c', this.#command], { stdio: 'pipe', detached: true, env });
    this.#running.add(child);
    // A command need not read its message.
    child.stdin.on('error', () => undefined);
    child.stdin.end(body);
    try {
      return await replyOf(child);
    } finally {
      this.#running.delete(child);
    }
  }
}

async function replyOf(child: ChildProcess): Promise<Uint8Array> {
  const printed: Buffer[] = [];
  let bytes = 0;
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > limits.messageBytesMax) kill(child);
    else printed.push(chunk);
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    process.stderr.write(chunk);
    said = (said + chunk.toString()).slice(0, whyMax);
  });
  const [code, signal] = await ended(child);
  if (bytes > limits.messageBytesMax) {
    throw new Error(`its reply is larger than ${limits.messageBytesMax} bytes`);
  }
  if (code !== 0) throw new Error(said.trim() || `its command ended with ${signal ?? code}`);
  return Buffer.concat(printed);
}

function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve([code, signal]));
  });
}

function kill({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
