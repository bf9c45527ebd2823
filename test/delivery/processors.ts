import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { type Gate, startGate } from '@waymark/server/testing';
import type { Engine } from 'waymark/engine';
import { all, lastPart } from '../../packages/server/src/watchers/keys.js';
import {
  decodeRecord,
  type HoldRecord,
  type ProcessorRecord,
} from '../../packages/server/src/watchers/records.js';
import type { SeededRandom } from '../faults/random.js';
import { Command, waymark } from '../support/command.js';

/** The shortest there is, so that much is taken over in a short time. */
const ttlMs = 1_000;
/** Until a process delivers, on the slowest machine. */
const startMs = 120_000;

export interface ProcessorsParts {
  readonly url: string;
  readonly engine: Engine;
  readonly sealingKey: string;
  readonly xmppAccountFile: string | null;
}

export interface Torment {
  readonly random: SeededRandom;
  readonly kills: number;
  readonly pauses: number;
  readonly cuts: number;
  /** Called before each fault. */
  readonly before: (faultsLeft: number) => void;
  /** And then each waits for this. */
  readonly until: () => Promise<void>;
}

export interface StartedProcessor {
  readonly command: Command;
  /** Resolves when it delivers. */
  readonly begun: Promise<unknown>;
}

interface Running extends StartedProcessor {
  /** Between it and the engine. */
  readonly gate: Gate;
}

/** `waymark watchers` over an engine at a port of loopback. */
export function startProcessor(
  port: number,
  how: { readonly ttlMs: number; readonly sealingKey: string } & Partial<ProcessorsParts>,
): StartedProcessor {
  const { xmppAccountFile = null, ttlMs: ttl, sealingKey, url = 'http://127.0.0.1' } = how;
  const engine = ['--engine', atPort(url, port), '--ttl', `${ttl}ms`];
  const args = [...engine, '--log-level', 'warn', '--allow-endpoint-net', '127.0.0.0/8'];
  const account = xmppAccountFile === null ? [] : ['--xmpp-account-file', xmppAccountFile];
  const argv = [waymark, '--json', 'watchers', ...args, ...account];
  const env = { WAYMARK_SECRETS_KEY: sealingKey };
  const command = new Command(process.execPath, argv, { env });
  const begun = command.says('delivering', startMs);
  // Who is killed before never says it.
  begun.catch(() => undefined);
  return { command, begun };
}

/** The same engine, through a gate. */
function atPort(url: string, port: number): string {
  const through = new URL(url);
  through.port = String(port);
  return through.href;
}

/** `waymark watchers` in processes of their own, over one engine. */
export class Processors {
  readonly #parts: ProcessorsParts;
  readonly #running: Running[] = [];
  /** Endpoints that processors held when they were paused or cut off, and found in other hands afterwards. */
  takenOver = 0;

  constructor(parts: ProcessorsParts) {
    this.#parts = parts;
  }

  async start(count: number): Promise<void> {
    for (let n = 0; n < count; n++) await this.#begin();
    for (const { begun } of this.#running) await begun;
  }

  /** Kills, pauses and cuts off processors; a new one stands in for each that was killed. */
  async torment({ random, kills, pauses, cuts, before, until }: Torment): Promise<void> {
    const faults = [
      ...Array.from({ length: kills }, () => 'kill' as const),
      ...Array.from({ length: pauses }, () => 'pause' as const),
      ...Array.from({ length: cuts }, () => 'cut' as const),
    ];
    const away: Promise<void>[] = [];
    for (let left = faults.length; left > 0; left--) {
      const [fault = 'kill'] = faults.splice(random.below(left), 1);
      before(left);
      await delay(250 + random.below(400));
      await until();
      const one = random.pick(this.#running);
      if (fault !== 'kill') {
        away.push(this.#away(one, fault));
        continue;
      }
      this.#running.splice(this.#running.indexOf(one), 1);
      one.command.child.kill('SIGKILL');
      await one.gate[Symbol.asyncDispose]();
      await this.#begin();
    }
    await Promise.all(away);
  }

  async stop(): Promise<void> {
    for (const { command } of this.#running) command.child.kill('SIGCONT');
    await Promise.all(this.#running.map(({ command }) => command.stop()));
    await Promise.all(this.#running.map(({ gate }) => gate[Symbol.asyncDispose]()));
  }

  /** Others go on meanwhile; it comes back when they have taken over. What one that was cut off had asked of the engine comes to it then. */
  async #away({ command: { child }, gate }: Running, fault: 'pause' | 'cut'): Promise<void> {
    const before = await this.#heldBy(`${hostname()}:${child.pid}`);
    if (fault === 'pause') child.kill('SIGSTOP');
    else await gate.hold();
    await delay(2 * ttlMs);
    const now = await this.#holds();
    if (fault === 'pause') child.kill('SIGCONT');
    else await gate.mend();
    if (child.signalCode !== null) return;
    const lost = [...before].filter(([endpoint, fence]) => now.get(endpoint)?.fence !== fence);
    this.takenOver += lost.length;
  }

  async #heldBy(owner: string): Promise<ReadonlyMap<string, number>> {
    const { entries } = await this.#parts.engine.read(all.processors);
    const own = entries
      .filter(({ value }) => decodeRecord<ProcessorRecord>(value).owner === owner)
      .map(({ key }) => lastPart(key));
    const held = [...(await this.#holds())].filter(([, { processor }]) => own.includes(processor));
    return new Map(held.map(([endpoint, { fence }]) => [endpoint, fence]));
  }

  async #holds(): Promise<ReadonlyMap<string, HoldRecord & { readonly fence: number }>> {
    const { entries } = await this.#parts.engine.read(all.holds);
    return new Map(
      entries.map(({ key, value, createRevision: fence }) => {
        return [lastPart(key), { ...decodeRecord<HoldRecord>(value), fence }];
      }),
    );
  }

  async #begin(): Promise<void> {
    const gate = await startGate({ port: Number(new URL(this.#parts.url).port) });
    this.#running.push({ ...startProcessor(gate.port, { ...this.#parts, ttlMs }), gate });
  }
}
