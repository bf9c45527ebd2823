import { type Engine, systemClock, systemRandom, type WatcherDesk } from 'waymark/engine';
import { createDesk } from '../../packages/server/src/watchers/desk.js';
import { openSecrets } from '../../packages/server/src/watchers/endpoint-secrets.js';
import type { Sealer } from '../../packages/server/src/watchers/sealing.js';
import type { DeskParts } from '../../packages/server/src/watchers/registration.js';
import type { TenureParts } from '../../packages/server/src/watchers/tenure.js';
import { Sinks } from './sink.js';

/** Not encrypted: it shows what was sealed for what. */
export const openly: Sealer = {
  seal: (text, context) => `${context}:${Buffer.from(text).toString('base64')}`,
  open: (sealed, context) => {
    const [of, text = ''] = sealed.split(':');
    if (of !== context) throw new Error(`sealed for ${of}, opened for ${context}`);
    return Buffer.from(text, 'base64').toString();
  },
  reseal: () => null,
  ids: [],
  refresh: () => undefined,
};

export function deskOver(
  engine: Engine,
  sinks: Sinks = new Sinks(),
  parts: Partial<DeskParts> = {},
): WatcherDesk {
  const own = { engine, kinds: [sinks.kind], sealer: openly };
  return createDesk({ ...own, clock: systemClock, random: systemRandom, ...parts });
}

/** As servers open what is registered. */
export function opening(sinks: Sinks): TenureParts['open'] {
  return ({ id, record }) => {
    const { uri, secrets } = openSecrets(openly, record.sealed, id);
    const settings = { format: record.format, secrets, timeoutMs: record.timeoutMs };
    return sinks.kind.open(sinks.kind.parse(uri, settings), settings, undefined as never);
  };
}
