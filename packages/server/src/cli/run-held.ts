import { type Hold, type Namespace, type Space, WaymarkError } from 'waymark';
import { runUnder } from './command-group.js';
import {
  aborted,
  after,
  fail,
  type GlobalOptions,
  interruption,
  secondsMs,
  withNamespace,
} from './context.js';
import type { CommandEnd } from './group-end.js';

/** How a hold is asked for, whatever it is. */
export interface HeldCall {
  readonly ttlMs: number;
  readonly waitMs: number | undefined;
  readonly signal: AbortSignal;
}

/** A command that runs while something is held: what `lock`, `elect`, `sem`, `name claim`, `join` and `barrier` share. */
export interface HeldRun<H extends Hold> {
  /** The command, perhaps after a `--`. */
  readonly argv: readonly string[];
  readonly ttl: string;
  readonly wait?: string | undefined;
  /** What is held, for people: 'the lock on /a'. */
  readonly title: (hold: H) => string;
  readonly take: (ns: Namespace<string>, call: HeldCall, space: Space) => Promise<H>;
  /** What the command finds in its environment. */
  readonly env: (hold: H) => Readonly<Record<string, string>>;
  /** Without a command: told once it is held, which it then is until interrupted. */
  readonly show?: (hold: H) => void;
  /** How it is given back once the command is gone. Default: released. */
  readonly giveBack?: (hold: H, interrupted: AbortSignal) => Promise<unknown>;
}

/** @returns the command's exit code; 130 when it still waited and was interrupted */
export async function runHeld<H extends Hold>(
  options: GlobalOptions,
  held: HeldRun<H>,
): Promise<number> {
  const argv = commandOf(held.argv);
  const ttlMs = secondsMs(held.ttl);
  const waitMs = held.wait === undefined ? undefined : secondsMs(held.wait);
  const interrupted = interruption();
  return await withNamespace(options, async (ns, space) => {
    const call = { ttlMs, waitMs, signal: interrupted };
    const hold = await unlessInterrupted(interrupted, held.take(ns, call, space));
    if (hold === null) return 130;
    const title = held.title(hold);
    const { code, ended } =
      argv.length === 0
        ? await heldUntil(interrupted, hold, held)
        : await runUnder(hold, argv, { title, ttlMs, interrupted, env: held.env(hold) });
    // It goes only now that the command's whole process group is gone.
    if (ended || hold.reason !== undefined) {
      return fail(hold.reason ?? notRenewed(title, hold.path), options.json);
    }
    await (held.giveBack?.(hold, interrupted) ?? released(hold, title));
    return code;
  });
}

/**
 * A server that is gone, silent, or refuses it gets it back when its lease ends: what the command came to stays what it was.
 *
 * @param busyMs  for how long it may have to be renewed yet before it can be released
 */
export async function released(hold: Hold, title: string, busyMs = 0): Promise<void> {
  const late = after(hold.remainingMs() + busyMs).then(() => {
    throw new Error('the server did not answer in time');
  });
  await Promise.race([hold.release(), late]).catch(({ message }: Error) => {
    process.stderr.write(
      `waymark: ${title} ends with its lease: it could not be released (${message})\n`,
    );
  });
}

/** Without the `--` in front. */
export function commandOf(argv: readonly string[]): readonly string[] {
  return argv[0] === '--' ? argv.slice(1) : argv;
}

/** @returns null when it failed after the interruption */
export async function unlessInterrupted<T>(
  interrupted: AbortSignal,
  work: Promise<T>,
): Promise<T | null> {
  return await work.catch((error: unknown) => {
    if (interrupted.aborted) return null;
    throw error;
  });
}

/** Of a command that was ended before its hold was lost. */
export function notRenewed(title: string, path: string): WaymarkError {
  const message = `${title} could not be renewed in time, so its command was ended`;
  return new WaymarkError('lost', message, { path });
}

async function heldUntil<H extends Hold>(
  interrupted: AbortSignal,
  hold: H,
  { show }: HeldRun<H>,
): Promise<CommandEnd> {
  show?.(hold);
  await aborted(AbortSignal.any([interrupted, hold.signal]));
  return { code: 0, ended: false };
}
