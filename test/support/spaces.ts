import type { Space } from 'waymark';
import {
  type Clock,
  createLocalHost,
  createSpace,
  type Engine,
  type Host,
  systemClock,
  systemRandom,
} from 'waymark/engine';

interface SpaceParts {
  readonly clock?: Clock;
  readonly host?: Host;
}

/** A client in this process, with a host of its own over an engine that others use as well. */
export function spaceOver(engine: Engine, owner: string, parts: SpaceParts = {}): Space {
  const { clock = systemClock, host = createLocalHost(engine, { clock }) } = parts;
  return createSpace(host, { clock, random: systemRandom, owner });
}
