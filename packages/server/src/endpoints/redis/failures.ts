import { DeliveryFailure } from '../endpoint.js';

/** What the first words of Redis' refusals mean here. The rest of its text is not passed on. */
const meanings: Readonly<Record<string, string>> = {
  ASK: 'it is a cluster, which is not supported',
  BUSY: 'a script of another client is running',
  CLUSTERDOWN: 'it is a cluster, which is not supported',
  CROSSSLOT: 'it is a cluster, which is not supported',
  LOADING: 'it is loading its data',
  MASTERDOWN: 'it is a replica whose master is away',
  MISCONF: 'it cannot write to its disk',
  MOVED: 'it is a cluster, which is not supported',
  NOAUTH: 'it wants a password',
  NOPERM: 'the user may not do this',
  NOREPLICAS: 'it has too few replicas',
  OOM: 'it has no memory left',
  READONLY: 'it is a replica',
  WRONGPASS: 'the user or the password is wrong',
  WRONGTYPE: 'what stands at the key is of another type',
};

/** Of whatever the client threw. */
export function redisFailure(cause: unknown): DeliveryFailure {
  if (cause instanceof DeliveryFailure) return cause;
  const code = refusalOf(cause);
  if (code !== null) {
    const meaning = meanings[code];
    const told = `Redis refused${meaning === undefined ? '' : `: ${meaning}`} (${code})`;
    return new DeliveryFailure('again', told, { cause });
  }
  const { code: reason } = cause as { readonly code?: unknown };
  const why = typeof reason === 'string' ? ` (${reason})` : '';
  return new DeliveryFailure('again', `no connection to Redis${why}`, { cause });
}

/** The first word of what Redis answered; null when it did not answer. */
export function refusalOf(error: unknown): string | null {
  const { message, constructor } = error as Error;
  if (!/^(ErrorReply|SimpleError|BlobError)$/.test(constructor.name)) return null;
  return /^([A-Z]{2,20})(?: |$)/.exec(message)?.[1] ?? null;
}
