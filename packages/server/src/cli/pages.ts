import type { ListCall, Page } from 'waymark';

/** Every entry of a listing, page by page, all of one revision. */
export async function* everyPage<E extends { readonly path: string }>(
  read: (call: ListCall) => Promise<Page<E>>,
): AsyncIterableIterator<E> {
  for (let call: ListCall = {}; ;) {
    const { entries, more, revision } = await read(call);
    yield* entries;
    if (!more) return;
    call = { after: entries.at(-1)?.path, at: call.at ?? revision };
  }
}
