import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  readonly kept: Buffer[];
}

/** A proxy in front of an engine that can keep back what a processor says to it, as a network does that is slow in one direction. */
export class LateGate implements AsyncDisposable {
  readonly #server = createServer((near) => this.#join(near));
  readonly #to: number;
  readonly #pairs = new Set<Pair>();
  #keeping = false;
  #lost = false;
  #came = (): void => {};

  private constructor(to: number) {
    this.#to = to;
  }

  static async start(to: number): Promise<LateGate> {
    const gate = new LateGate(to);
    await once(gate.#server.listen(0, '127.0.0.1'), 'listening');
    return gate;
  }

  get port(): number {
    return (this.#server.address() as { readonly port: number }).port;
  }

  /** Whether a connection has ended since `keepBack`: what it had said is lost. */
  get lost(): boolean {
    return this.#lost;
  }

  /** From now on nothing that the processor says goes on. */
  keepBack(): void {
    this.#keeping = true;
    this.#lost = false;
  }

  /** Resolves once the texts are in what was kept back. @returns false when they are not after `withinMs` */
  async kept(texts: readonly string[], withinMs: number): Promise<boolean> {
    const late = AbortSignal.timeout(withinMs);
    for (;;) {
      const said = [...this.#pairs].map(({ kept }) => Buffer.concat(kept).toString('latin1'));
      if (texts.every((text) => said.some((one) => one.includes(text)))) return true;
      if (late.aborted || this.#lost) return false;
      await new Promise<void>((resolve) => {
        this.#came = resolve;
        late.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  /** What was kept back goes on, and all after it. */
  release(): void {
    this.#keeping = false;
    for (const { far, kept } of this.#pairs) for (const one of kept.splice(0)) far.write(one);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { near, far } of this.#pairs) for (const one of [near, far]) one.destroy();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  #join(near: Socket): void {
    const far = connect(this.#to, '127.0.0.1');
    const pair: Pair = { near, far, kept: [] };
    this.#pairs.add(pair);
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => into.destroy());
      from.on('close', () => {
        if (this.#keeping) this.#lost = true;
        this.#pairs.delete(pair);
        into.destroy();
        this.#came();
      });
    }
    far.on('data', (bytes: Buffer) => near.write(bytes));
    near.on('data', (bytes: Buffer) => {
      if (!this.#keeping) return far.write(bytes);
      pair.kept.push(bytes);
      return this.#came();
    });
  }
}
