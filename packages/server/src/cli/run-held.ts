import { type Hold, type Namespace, WaymarkError } from 'waymark';
import { runUnder } from './command-group.js';
import { fail, type GlobalOptions, interruption, secondsMs, withNamespace } from './context.js';

/** How a hold is asked for, whatever it is. */
export interface HeldCall {
  readonly ttlMs: number;
  readonly waitMs: number | undefined;
  readonly signal: AbortSignal;
}

/** A command that runs while something is held: what `lock`, `elect` and `sem` share. */
export interface HeldRun<H extends Hold> {
  /** The command, perhaps after a `--`. */
  readonly argv: readonly string[];
  readonly ttl: string;
  readonly wait: string | undefined;
  /** What is held, for people: 'the lock on /a'. */
  readonly title: string;
  readonly take: (ns: Namespace<string>, call: HeldCall) => Promise<H>;
  /** What the command finds in its environment. */
  readonly env: (hold: H) => Readonly<Record<string, string>>;
}

/** @returns the command's exit code; 130 when it still waited and was interrupted */
export async function runHeld<H extends Hold>(
  options: GlobalOptions,
  held: HeldRun<H>,
): Promise<number> {
  const { argv: given, wait } = held;
  const argv = given[0] === '--' ? given.slice(1) : given;
  const ttlMs = secondsMs(held.ttl);
  const waitMs = wait === undefined ? undefined : secondsMs(wait);
  const interrupted = interruption();
  return await withNamespace(options, async (ns) => {
    const hold = await held
      .take(ns, { ttlMs, waitMs, signal: interrupted })
      .catch((error: unknown) => {
        if (interrupted.aborted) return null;
        throw error;
      });
    if (hold === null) return 130;
    const { code, ended } = await runUnder(hold, argv, {
      ttlMs,
      interrupted,
      env: held.env(hold),
    });
    // It goes only now that the command's whole process group is gone.
    if (!ended && hold.reason === undefined) {
      await hold.release();
      return code;
    }
    const message = `${held.title} could not be renewed in time, so its command was ended`;
    return fail(
      hold.reason ?? new WaymarkError('lost', message, { path: hold.path }),
      options.json,
    );
  });
}
