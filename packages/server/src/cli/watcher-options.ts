import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import {
  type RetryEnd,
  type RetrySchedule,
  type SharingMode,
  type WatcherChange,
  WaymarkError,
} from 'waymark';
import { oneMore } from './context.js';

/** How what is told of a watcher is read from a command line. What it may be, the registry looks at. */

export interface ChangeOptions {
  readonly lifetime?: string;
  readonly owner?: string;
  readonly label?: readonly string[];
  readonly retry?: string;
  readonly end?: string;
  readonly batch?: string;
  readonly format?: string;
  readonly secret?: string;
  readonly timeoutMs?: string;
}

/** What may be told of a watcher and its endpoint, when it is registered and later. */
export function changeable(command: Command): Command {
  return command
    .option(
      '--lifetime <duration>',
      'it goes then: P7D, PT1H30M or seconds; none, the default: it stays',
    )
    .option('--owner <name>', 'for people')
    .option(
      '--label <name=value>',
      'for people and for lists; may be given more than once',
      oneMore,
    )
    .option(
      '--retry <schedule>',
      'default (3 tries over 4 hours), standard (10 over 3 days), forever, or waits in ms: 1000,60000',
    )
    .option(
      '--end <what>',
      'after the last try: deregister (default), disable, or keep (among the dead letters)',
    )
    .option('--batch <n>', 'most events in one delivery, 1 to 1000; default 1')
    .option(
      '--format <format>',
      'structured (default, a CloudEvents document) or binary (the value alone)',
    )
    .option('--secret <secret>', 'signs deliveries: whsec_… or whsk_…, or @FILE that holds it')
    .option('--timeout-ms <ms>', 'how long one try may take; default 15000');
}

export function modeOf(text: string): SharingMode {
  const [by, count, ...rest] = text.split(':');
  const n = count === undefined ? undefined : wholeNumber('a mode', count);
  if (rest.length === 0 && n === undefined && (by === 'endpoint' || by === 'kind')) return { by };
  if (rest.length === 0 && by === 'pattern') return { by, perPattern: n };
  if (rest.length === 0 && by === 'fixed' && n !== undefined) return { by, shares: n };
  const text40 = text.slice(0, 40);
  const known = 'endpoint, kind, pattern, pattern:10 or fixed:4';
  throw new WaymarkError('invalid', `'${text40}' is no mode: take ${known}`);
}

export function changeOf(own: ChangeOptions): WatcherChange {
  const { lifetime, owner, label, retry, end, batch, format } = own;
  return {
    ...(lifetime !== undefined && { lifetime: lifetimeOf(lifetime) }),
    ...(owner !== undefined && { owner }),
    ...(label !== undefined && { labels: labelsOf(label) }),
    ...(retry !== undefined && { retry: retryOf(retry) }),
    ...(end !== undefined && { end: end as RetryEnd }),
    ...(batch !== undefined && { batch: wholeNumber('--batch', batch) }),
    ...(format !== undefined && { format: format as 'structured' | 'binary' }),
    ...(own.secret !== undefined && { secret: secretOf(own.secret) }),
    ...(own.timeoutMs !== undefined && { timeoutMs: wholeNumber('--timeout-ms', own.timeoutMs) }),
  };
}

function secretOf(text: string): string {
  if (!text.startsWith('@')) return text;
  const file = text.slice(1);
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new WaymarkError('invalid', `${file} cannot be read`, { file }, cause);
  }
}

/** `none`: it stays. */
function lifetimeOf(text: string): string | number | null {
  if (text === 'none') return null;
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

function labelsOf(pairs: readonly string[]): Record<string, string> {
  const split = pairs.map((pair) => {
    const at = pair.indexOf('=');
    if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)] as const;
    throw new WaymarkError('invalid', `--label takes NAME=VALUE, not '${pair.slice(0, 40)}'`);
  });
  return Object.fromEntries(split);
}

function retryOf(text: string): RetrySchedule {
  if (!/^\d/.test(text)) return text as RetrySchedule;
  return text.split(',').map((wait) => wholeNumber('a wait of --retry', wait));
}

export function afterOf(text: string): 'beginning' | number {
  return text === 'beginning' ? text : wholeNumber('a revision', text);
}

function wholeNumber(name: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new WaymarkError('invalid', `${name} takes a whole number, not '${text.slice(0, 40)}'`);
}
