import type { Command } from 'commander';
import { WaymarkError } from 'waymark';
import type { ServerOptions } from '../server-options.js';

export interface LimitFlags {
  readonly connections?: number;
  readonly streams?: number;
  readonly leases?: number;
  readonly locks?: number;
  readonly inFlight?: number;
  readonly inFlightBytes?: number;
  readonly rate?: number | false;
  readonly rateBurst?: number;
}

export function addLimitFlags(command: Command): Command {
  return command
    .option('--connections <n>', 'serve at most so many; default 10000', Number)
    .option('--streams <n>', 'watches over HTTP at most; default 10000', Number)
    .option('--leases <n>', 'leases of one client at most; default 10000', Number)
    .option('--locks <n>', 'and locks; default 10000', Number)
    .option('--in-flight <n>', 'calls under way at most, more wait; default 10000', Number)
    .option('--in-flight-bytes <n>', 'and bytes of them at most; default 134217728', Number)
    .option(
      '--rate <n>',
      'calls a second of one client at most, or none; default 1000 where access is on, else none',
      (text: string) => (text === 'none' ? false : Number(text)),
    )
    .option('--rate-burst <n>', 'and at once after a pause; default twice the rate', Number);
}

/** @throws {WaymarkError} `invalid` */
export function limitsOf(
  flags: LimitFlags,
): Pick<
  ServerOptions,
  | 'connectionsMax'
  | 'streamsMax'
  | 'leasesMax'
  | 'locksMax'
  | 'inFlightMax'
  | 'inFlightBytesMax'
  | 'rate'
> {
  const { rate, rateBurst } = flags;
  if (typeof rate !== 'number' && rateBurst !== undefined) {
    throw new WaymarkError('invalid', '--rate-burst is of a --rate: give that, too');
  }
  return {
    connectionsMax: flags.connections,
    streamsMax: flags.streams,
    leasesMax: flags.leases,
    locksMax: flags.locks,
    inFlightMax: flags.inFlight,
    inFlightBytesMax: flags.inFlightBytes,
    rate: typeof rate === 'number' ? { perSecond: rate, burst: rateBurst } : rate,
  };
}
