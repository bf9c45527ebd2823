import { lookup as systemLookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { DialedAddress } from './dialer.js';
import { HostsFile } from './hosts-file.js';

/** All addresses of a name, the best one first. */
export type NameLookup = (name: string) => Promise<readonly DialedAddress[]>;

export interface NameLookupParts {
  readonly hosts?: Pick<HostsFile, 'addressesOf'> | undefined;
  readonly resolver?: (() => Pick<Resolver, 'resolve4' | 'resolve6'>) | undefined;
  /** The machine's own, with search lists and whatever else it is configured to ask. */
  readonly system?: NameLookup | undefined;
}

/** Of one question; each is asked twice. */
const timeoutMs = 2_000;
const tries = 2;
/** What says that a name server is not well: asking the machine would ask the same one, and wait longer. */
const notWell = new Set(['ETIMEOUT', 'ESERVFAIL', 'ECANCELLED']);

/**
 * The machine's own lookup (getaddrinfo) blocks a thread of the pool, for half a minute where name servers are silent, and two of them are all that
 * look up at once: two names whose servers hang would stop every other endpoint (W4.6). So a name is looked for in the hosts file, and
 * asked of the name servers without a thread, with a time limit of its own. Only where they say that there is no such name is the machine asked, which knows search lists and
 * other sources: one name at a time, each once, whoever waits for it.
 */
export function createNameLookup(parts: NameLookupParts = {}): NameLookup {
  const { hosts = new HostsFile(), system = askSystem } = parts;
  // One for each lookup: it knows the name servers that the machine is configured with when it is made.
  const resolverNow = parts.resolver ?? (() => new Resolver({ timeout: timeoutMs, tries }));
  const machine = oneAtATime(system);
  return async (name) => {
    const listed = await hosts.addressesOf(name);
    if (listed.length > 0) return listed;
    const resolver = resolverNow();
    const [four, six] = await Promise.allSettled([
      resolver.resolve4(name),
      resolver.resolve6(name),
    ]);
    const found = [...addresses(four, 4), ...addresses(six, 6)];
    if (found.length > 0) return found;
    for (const { reason } of [four, six] as { readonly reason?: { readonly code?: string } }[])
      if (notWell.has(reason?.code ?? '')) throw reason as Error;
    return await machine(name);
  };
}

function addresses(
  answer: PromiseSettledResult<readonly string[]>,
  family: 4 | 6,
): readonly DialedAddress[] {
  const all = answer.status === 'fulfilled' ? answer.value : [];
  return all.filter((address) => isIP(address) === family).map((address) => ({ address, family }));
}

async function askSystem(name: string): Promise<readonly DialedAddress[]> {
  const found = await systemLookup(name, { all: true });
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
}

/** Half of the threads that may look names up, so that the rest of the process has the other. Who waits no longer leaves; the lookup goes on. */
function oneAtATime(lookup: NameLookup): NameLookup {
  const underWay = new Map<string, Promise<readonly DialedAddress[]>>();
  let last: Promise<unknown> = Promise.resolve();
  return (name) => {
    const known = underWay.get(name);
    if (known !== undefined) return known;
    const asked = last.then(() => lookup(name)).finally(() => underWay.delete(name));
    underWay.set(name, asked);
    last = asked.catch(() => undefined);
    return asked;
  };
}
