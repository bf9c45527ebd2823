import type { LinkFaults } from '../proxy.js';
import type { SeededRandom } from '../random.js';

/** A fault as data: what happens to which of the hosts (from 0), or to who leads. A seed determines it. */
export type Fault = { readonly lastsMs: number } & (
  | { readonly kind: 'kill' | 'restart'; readonly what: Part; readonly host: Victim }
  | { readonly kind: 'pause'; readonly what: Part; readonly host: Victim }
  | { readonly kind: 'partition'; readonly way: Way; readonly of: Scope; readonly host: Victim }
  | { readonly kind: 'loss'; readonly percent: number; readonly host: Victim }
  | { readonly kind: 'reply loss'; readonly host: Victim }
  | { readonly kind: 'link'; readonly faults: LinkFaults; readonly host: Victim }
  | { readonly kind: 'clock'; readonly hours: readonly number[] }
);

export type Part = 'etcd' | 'server';
export type Victim = number | 'leader';
/** `in`: the host hears nothing, `out`: it is not heard. */
export type Way = 'both' | 'in' | 'out';
/** `peers`: what members of etcd say to each other; `all`: everything to and from the other hosts with members. */
export type Scope = 'peers' | 'all';

export const faultKinds = [
  'leader kill',
  'kill',
  'restart',
  'pause',
  'partition',
  'one-way partition',
  'loss',
  'reply loss',
  'link',
  'clock',
] as const;

export type FaultKind = (typeof faultKinds)[number];

export function planFault(kind: FaultKind, random: SeededRandom, hosts: number): Fault {
  const host = random.next() < 0.4 ? 'leader' : random.below(hosts);
  const lastsMs = 600 + random.below(600);
  const what: Part = random.next() < 0.6 ? 'etcd' : 'server';
  const of: Scope = random.next() < 0.6 ? 'peers' : 'all';
  switch (kind) {
    case 'leader kill':
      return { kind: 'kill', what: 'etcd', host: 'leader', lastsMs };
    case 'kill':
    case 'restart':
    case 'pause':
      return { kind, what, host, lastsMs };
    case 'partition':
      return { kind, way: 'both', of, host, lastsMs };
    case 'one-way partition':
      return { kind: 'partition', way: random.pick(['in', 'out']), of, host, lastsMs };
    case 'loss':
      return { kind, percent: 10 + random.below(40), host, lastsMs };
    case 'reply loss':
      return { kind, host, lastsMs };
    case 'link':
      return { kind, faults: random.pick(linkFaults), host, lastsMs };
    case 'clock':
      return { kind, hours: Array.from({ length: hosts }, () => random.pick([-1, 1])), lastsMs };
  }
}

const linkFaults: readonly LinkFaults[] = [
  { replyDelayMs: 50, replyJitterMs: 100 },
  { halfOpen: true },
  { requestDrop: true },
  { cutAfterBytes: 500 },
  { cutAfterBytes: 20_000 },
];
