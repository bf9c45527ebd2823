import { type SharingMode, WaymarkError } from 'waymark/engine';

const most = 100_000;

/** @throws {WaymarkError} `invalid` */
export function readMode(mode: SharingMode): SharingMode {
  const { by } = (mode ?? {}) as SharingMode;
  if (by === 'endpoint' || by === 'kind') return { by };
  if (by === 'pattern') {
    const { perPattern } = mode as { readonly perPattern?: number };
    if (perPattern === undefined) return { by };
    return { by, perPattern: count('perPattern', perPattern) };
  }
  if (by === 'fixed') return { by, shares: count('shares', (mode as { shares: number }).shares) };
  const text = 'endpoints are shared out by endpoint, pattern, fixed or kind';
  throw new WaymarkError('invalid', text);
}

function count(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
  const text = `${name} takes a whole number from 1 to ${most}, not ${String(value).slice(0, 40)}`;
  throw new WaymarkError('invalid', text);
}
