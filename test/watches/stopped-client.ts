import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

const program = `
const { openRemoteEngine } = await import(process.argv[1]);
const engine = await openRemoteEngine(process.argv[2]);
for (let n = 0; n < Number(process.argv[3]); n++) {
  const watch = engine.watch([{ key: 'w/', end: 'w0' + n }])[Symbol.asyncIterator]();
  await watch.next();
  void watch.next();
}
process.stdout.write('watching');
setInterval(() => undefined, 1_000);
`;

/** A client in a process of its own that watches everything, over a stream for each watch, then is stopped: it reads and says nothing more. */
export class StoppedClient implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(url: string, watches: number): Promise<StoppedClient> {
    const library = new URL('../../packages/waymark/dist/engine.js', import.meta.url).href;
    const args = ['--input-type=module', '-e', program, library, url, String(watches)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    child.kill('SIGSTOP');
    return new StoppedClient(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}
