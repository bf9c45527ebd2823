import type { Clock } from '../core/clock.js';
import { isWaymarkError, unanswered, WaymarkError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import * as calls from '../recipes/once.js';
import { onceWords } from '../recipes/wording.js';
import { decodeValue, encodeValue, json } from './codecs.js';
import { giveBack } from './give-back.js';
import { Held, type HeldParts } from './held.js';
import type { Asker } from './holder.js';
import { leaderRange, onceFacet, onceKey } from './layout.js';
import type { HostNamespace } from './namespace.js';
import type { OnceCall, OnceRun } from './once-types.js';
import { pathToBytes } from './paths.js';
import { watchKeyGone } from './watch-key.js';

/** After the engine was out of reach. */
const againMs = 100;

export type OnceJob<R> = (run: OnceRun) => Promise<R> | R;

/** What is recorded of a job: its value, absent for undefined, or what it threw. */
export type OnceOutcome = { readonly by: string; readonly owner: string } & (
  { readonly value?: unknown } | { readonly failed: string }
);

/** @returns what the job came to, as JSON has it; whoever ran it */
export async function runOnce<R>(
  namespace: HostNamespace<unknown>,
  path: string,
  job: OnceJob<R>,
  call: OnceCall,
): Promise<R> {
  const { space, host, name } = namespace;
  const { signal, waitMs } = call;
  const { entries } = await host.read(name, { key: onceKey(pathToBytes(path)) }, { signal });
  let record = entries[0]?.value ?? null;
  if (record !== null) return valueOf<R>(path, record);
  const claim = await space.holder.hold({
    path,
    call,
    async ask(asker) {
      const args = { ...asker, session: asker.id, path, waitMs };
      const claimed = await host.run(calls.claim, name, args, signal && { signal });
      record = claimed.record;
      return claimed.token;
    },
    giveUp: ({ id }) => host.run(calls.unclaim, name, { id, path }),
    make: (parts, asker) => new HeldClaim(parts, asker, namespace),
  });
  if (claim !== null) return await run(claim, job, call, space.clock);
  if (record !== null) return valueOf<R>(path, record);
  throw new WaymarkError('timeout', `another runs ${path} now (waitMs: 0)`, { path });
}

async function run<R>(claim: HeldClaim, job: OnceJob<R>, call: OnceCall, clock: Clock): Promise<R> {
  const given = call.signal === undefined ? [] : [call.signal];
  const signal = AbortSignal.any([claim.signal, ...given]);
  let ran = false;
  try {
    const remainingMs = (): number => claim.remainingMs();
    const value = await job({ token: claim.token, signal, remainingMs });
    ran = true;
    return valueOf<R>(claim.path, await claim.settle({ value }, signal));
  } catch (error) {
    // A job that was told to end did not fail, and neither did one whose value the engine may have by now.
    const unsettled = !signal.aborted && !claim.settled && !(ran && unanswered(error));
    if (call.whenFailed === 'record' && unsettled) {
      const failed = error instanceof Error ? error.message : String(error);
      await claim.settle({ failed: failed.slice(0, failedCharsMax) }, signal);
    }
    throw error;
  } finally {
    await giveBack(clock, claim);
  }
}

const failedCharsMax = 4_096;

function valueOf<R>(path: string, record: string): R {
  const outcome = decodeValue(json, path, record) as OnceOutcome;
  if ('failed' in outcome) {
    const why = `the job of ${path} ran once, and failed: ${outcome.failed}`;
    throw new WaymarkError('failed', why, { path });
  }
  return outcome.value as R;
}

class HeldClaim extends Held {
  settled = false;
  readonly #asker: Asker;
  readonly #namespace: HostNamespace<unknown>;

  constructor(parts: HeldParts, asker: Asker, namespace: HostNamespace<unknown>) {
    super(parts);
    this.#asker = asker;
    this.#namespace = namespace;
  }

  /** Records, and gives the claim back with it. @returns the record. @throws {WaymarkError} `lost`, `invalid` for what has no JSON */
  async settle(
    outcome: { readonly value: unknown } | { readonly failed: string },
    signal: AbortSignal,
  ): Promise<string> {
    const { path, token } = this;
    const { id, owner } = this.#asker;
    const { host, name } = this.#namespace;
    if (!this.isHeld()) throw this.reason ?? lost(path);
    // In an object a function would be left out without a word.
    if ('value' in outcome && outcome.value !== undefined) encodeValue(json, path, outcome.value);
    const record = encodeValue(json, path, { by: id, owner, ...outcome });
    await this.changing(async () => {
      const tell = () => host.run(calls.settle, name, { id, path, token, record });
      await this.#untilAnswered(tell, signal);
      this.settled = true;
      return token;
    });
    return record;
  }

  /** The job has run: what it came to is told as long as the claim stands. */
  async #untilAnswered(tell: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
    const { clock } = this.#namespace.space;
    for (;;) {
      try {
        await tell();
        return;
      } catch (error) {
        const again = unanswered(error) && !isWaymarkError(error, 'storage_full');
        if (!again || !this.isHeld()) throw error;
      }
      await pause(clock, againMs, signal);
    }
  }

  protected get title(): string {
    return onceWords.title(this.path);
  }

  protected async giveBack(): Promise<boolean> {
    if (this.settled) return true;
    const { space, name } = this.#namespace;
    const { id } = this.#asker;
    return await space.host.run(calls.unclaim, name, { id, path: this.path });
  }

  protected watchLoss(told: (why: string) => void): () => void {
    const { space, name } = this.#namespace;
    const range = leaderRange(pathToBytes(this.path), onceFacet);
    return watchKeyGone(space.host, name, range, this.token, told);
  }
}

function lost(path: string): WaymarkError {
  return new WaymarkError('lost', `${onceWords.title(path)} ended while its job ran`, { path });
}
