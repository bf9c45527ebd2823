import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const waymark = fileURLToPath(
  new URL('../../packages/server/dist/bundle/main.js', import.meta.url),
);

export interface Finished {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A child process whose output is kept; ended by pid. */
export class Command {
  readonly child: ChildProcess;
  readonly done: Promise<Finished>;
  out = '';
  err = '';
  #heard: (() => void)[] = [];

  constructor(
    file: string,
    args: readonly string[],
    options: { env?: NodeJS.ProcessEnv; cwd?: string; input?: string | null } = {},
  ) {
    // Whoever runs the tests may force colors; the output here is read by programs.
    const env = { ...process.env, FORCE_COLOR: undefined, ...options.env };
    this.child = spawn(file, args, { env, cwd: options.cwd });
    // A process may end without having read all.
    this.child.stdin?.on('error', () => undefined);
    // null leaves the input open, for the test to end.
    if (options.input !== null) this.child.stdin?.end(options.input ?? '');
    this.child.stdout?.on('data', (data: Buffer) =>
      this.#hear(() => (this.out += data.toString())),
    );
    this.child.stderr?.on('data', (data: Buffer) =>
      this.#hear(() => (this.err += data.toString())),
    );
    this.done = new Promise((resolve) => {
      this.child.once('close', (code, signal) => {
        this.#hear(() => undefined);
        resolve({ code: code ?? (signal === null ? 0 : -1), out: this.out, err: this.err });
      });
    });
  }

  /** Resolves once the output is longer than this. */
  async grows(length: number): Promise<void> {
    while (this.out.length <= length) {
      if (this.child.exitCode !== null) throw new Error(`it ended: ${this.out} ${this.err}`);
      await new Promise<void>((resolve) => this.#heard.push(resolve));
    }
  }

  /** Resolves once the output holds the text. */
  async says(text: string, boundMs = 20_000): Promise<string> {
    await this.#has(() => this.out, text, boundMs);
    return this.out;
  }

  /** Resolves once what it wrote to its standard error holds the text. */
  async warns(text: string, boundMs = 20_000): Promise<void> {
    await this.#has(() => this.err, text, boundMs);
  }

  async #has(said: () => string, text: string, boundMs: number): Promise<void> {
    const late = AbortSignal.timeout(boundMs);
    while (!said().includes(text)) {
      if (late.aborted || this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`never said ${JSON.stringify(text)}: ${this.out} ${this.err}`);
      }
      await new Promise<void>((resolve) => {
        this.#heard.push(resolve);
        late.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Finished> {
    this.child.kill(signal);
    return await this.done;
  }

  #hear(change: () => void): void {
    change();
    for (const heard of this.#heard.splice(0)) heard();
  }
}

/** Runs `waymark ARGS` against a server. */
export function runWaymark(
  server: string,
  args: readonly string[],
  input: string | null = '',
): Command {
  return new Command(process.execPath, [waymark, '--server', server, ...args], { input });
}

/** Starts `waymark serve` on a free port. @returns the process and its `http://…` address */
export async function serve(
  args: readonly string[],
  cwd?: string,
): Promise<{ command: Command; url: string }> {
  const argv = [waymark, '--json', 'serve', '--listen', '127.0.0.1:0', ...args];
  const command = new Command(process.execPath, argv, { ...(cwd === undefined ? {} : { cwd }) });
  const line = await command.says('\n');
  const { addresses } = JSON.parse(line) as { addresses: string[] };
  const [address = ''] = addresses;
  return { command, url: address.startsWith('http') ? address : `http://${address}` };
}
