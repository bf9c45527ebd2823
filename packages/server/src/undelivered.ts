import { type Reply, WaymarkError } from 'waymark';

/** A message that was not delivered, as REST and the command tell of it: in the library it is an answer, here an error by its code. */
export function undelivered(
  group: string,
  { outcome, member, seen, why }: Exclude<Reply, { readonly outcome: 'delivered' }>,
): WaymarkError {
  const code = outcome === 'unknown' ? 'uncertain' : seen ? 'failed' : 'unavailable';
  return new WaymarkError(code, why, { path: group, outcome, member: member ?? undefined, seen });
}
