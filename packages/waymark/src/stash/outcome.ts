import { type ErrorCode, isWaymarkError, WaymarkError } from '../core/errors.js';

/** With these a node says that it applied nothing. */
const certain = new Set([
  ...['unavailable', 'storage_full', 'superseded', 'invalid', 'too_large'],
  ...['denied', 'unauthenticated', 'overloaded'],
]);

export function isCertain(error: unknown): boolean {
  return isWaymarkError(error) && certain.has(error.code);
}

export function isStale(error: unknown): boolean {
  return isWaymarkError(error, 'superseded');
}

/** What of several is told: what somebody can act upon first. */
const telling = ['storage_full', 'invalid', 'unauthenticated', 'denied', 'too_large', 'corrupt'];

/** A call that was asked of several nodes and got too few answers. */
export class Failures {
  readonly #errors = new Map<string, unknown>();

  add(node: string, error: unknown): void {
    this.#errors.set(node, error);
  }

  has(code: ErrorCode): boolean {
    return [...this.#errors.values()].some((error) => isWaymarkError(error, code));
  }

  get allCertain(): boolean {
    return [...this.#errors.values()].every(isCertain);
  }

  /** `unavailable`, or what all that is known says more clearly. */
  refused(what: string): WaymarkError {
    const errors = [...this.#errors.values()].filter((error) => isWaymarkError(error));
    const rank = (error: WaymarkError): number => {
      const place = telling.indexOf(error.code);
      return place < 0 ? telling.length : place;
    };
    const [first] = errors.toSorted((a, b) => rank(a) - rank(b));
    const code = first !== undefined && telling.includes(first.code) ? first.code : 'unavailable';
    return new WaymarkError(code, `${what}${this.#told()}`, first?.facts, first);
  }

  uncertain(what: string): WaymarkError {
    return new WaymarkError('uncertain', `${what}${this.#told()}: it may show later`);
  }

  #told(): string {
    if (this.#errors.size === 0) return '';
    const each = [...this.#errors].map(([node, error]) => `${node}: ${messageOf(error)}`);
    return ` (${each.join('; ')})`;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
