import type { Command } from 'commander';
import { codecs, type Space, type StashIndex } from 'waymark';
import { type GlobalOptions, withNamespace } from './context.js';

/** Runs one command on the stash: of the server, or of the space that `--space` of `waymark stash` names, whose nodes are asked from here then. */
export async function withStash<T>(
  stash: Command,
  options: GlobalOptions,
  work: (stash: Space['stash'], signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  const flags = stash.opts<{ space?: string; token?: string; tlsCa?: string; zone?: string }>();
  const { space: server = options.server, token, tlsCa: ca, zone } = flags;
  return await withNamespace(
    { ...options, server },
    (_namespace, space, signal) => work(space.stash, signal),
    { stash: { token, ca, zone } },
  );
}

/** The same on one index, whose values are bytes. */
export async function withIndex<T>(
  stash: Command,
  options: GlobalOptions,
  name: string,
  work: (index: StashIndex<Uint8Array>, signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  return await withStash(stash, options, (of, signal) =>
    work(of.index(name, { codec: codecs.bytes }), signal),
  );
}
