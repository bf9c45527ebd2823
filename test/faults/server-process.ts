import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(
  new URL('../../packages/server/dist/bundle/main.js', import.meta.url),
);

/** A server in a process of its own, from the build. */
export class ServerProcess implements AsyncDisposable {
  readonly url: string;
  readonly child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.child = child;
    this.url = url;
  }

  /** @param engine  `memory` or `file:DIR` */
  static async start(
    engine: string,
    env: NodeJS.ProcessEnv = {},
    flags: readonly string[] = [],
  ): Promise<ServerProcess> {
    const listen = ['--listen', '127.0.0.1:0'];
    const args = [command, 'serve', ...listen, '--engine', engine, '--json', ...flags];
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_NO_WARNINGS: '1', ...env },
    });
    const first = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (bytes: Buffer) => resolve(bytes.toString()));
      child.once('exit', (code) =>
        reject(new Error(`the server ended with ${code}: is the build there (npx tsc -b)?`)),
      );
    });
    const { addresses } = JSON.parse(first) as { addresses: string[] };
    const [address = ''] = addresses;
    return new ServerProcess(child, address.includes('://') ? address : `http://${address}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await ended;
  }
}
