import { type Hold, type Namespace, WaymarkError } from 'waymark';
import { runUnder } from './command-group.js';
import { fail, type GlobalOptions, secondsMs, withNamespace } from './context.js';

/** What every command takes that runs another one while holding something. */
export interface HoldingOptions {
  readonly ttl: string;
  readonly wait?: string;
  readonly owner?: string;
}

/** The part of a hold call that these options give. */
interface HoldingCall {
  readonly ttlMs: number;
  readonly waitMs: number | undefined;
  readonly owner: string | undefined;
  readonly signal: AbortSignal;
}

export interface Holding {
  readonly options: GlobalOptions;
  readonly own: HoldingOptions;
  /** With or without `--` in front. */
  readonly command: readonly string[];
  readonly take: (ns: Namespace<string>, call: HoldingCall) => Promise<Hold>;
  /** What it is, for people: 'the lock on /a'. */
  readonly title: (hold: Hold) => string;
  /** Told to the command, beside the token. */
  readonly env: (hold: Hold) => Readonly<Record<string, string>>;
}

/** The hold goes only after the command's whole process group is gone. @returns the exit code */
export async function runHolding({
  options,
  own,
  command,
  take,
  title,
  env,
}: Holding): Promise<number> {
  const argv = command[0] === '--' ? command.slice(1) : command;
  const { ttl, wait, owner } = own;
  const ttlMs = secondsMs(ttl);
  const waitMs = wait === undefined ? undefined : secondsMs(wait);
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort(new Error('interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
  return await withNamespace(options, async (ns) => {
    const call = { ttlMs, waitMs, owner, signal: interrupted.signal };
    const hold = await take(ns, call).catch((error: unknown) => {
      if (interrupted.signal.aborted) return null;
      throw error;
    });
    if (hold === null) return 130;
    const told = { ...env(hold), WAYMARK_TOKEN: String(hold.token) };
    const run = { ttlMs, interrupted: interrupted.signal, env: told };
    const { code, ended } = await runUnder(hold, argv, run);
    if (!ended && hold.reason === undefined) {
      await hold.release();
      return code;
    }
    const message = `${title(hold)} could not be renewed in time, so its command was ended`;
    return fail(
      hold.reason ?? new WaymarkError('lost', message, { path: hold.path }),
      options.json,
    );
  });
}
