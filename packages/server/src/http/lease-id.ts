import { Type } from 'typebox';

/**
 * The id of a lease in JSON and in URLs: a number, and beyond 2^53-1, where programs that read JSON begin to round, its decimal digits
 * as a string. It is taken as it is told.
 */
const max = Number.MAX_SAFE_INTEGER;
const digits = Type.String({ pattern: '^-?[1-9][0-9]{15,18}$' });

/** As requests say it. */
export function leaseId(description?: string) {
  const above = Type.Integer({ minimum: 1, maximum: max });
  const below = Type.Integer({ minimum: -max, maximum: -1 });
  return Type.Union([above, below, digits], described(description));
}

/** As answers tell it, where 0 may stand for none. */
export function toldLeaseId(description?: string) {
  return Type.Union(
    [Type.Integer({ minimum: -max, maximum: max }), digits],
    described(description),
  );
}

function described(description = 'beyond 2^53-1 as a string'): { readonly description: string } {
  return { description };
}
