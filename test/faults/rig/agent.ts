import { FaultProxy, type LinkFaults } from '../proxy.js';

/**
 * Runs on a host of the rig: a proxy in front of each address in its arguments, for a server on the same host to reach etcd through.
 * Says where they listen, then does what it is told.
 */
export interface AgentOrder {
  /** Faults of all its links; `null` ends them. */
  readonly faults: LinkFaults | null;
}

const proxies = await Promise.all(
  process.argv.slice(2).map((address) => FaultProxy.open(`http://${address}`)),
);

process.on('message', ({ faults }: AgentOrder) => {
  for (const proxy of proxies) {
    if (faults === null) proxy.heal();
    else proxy.set(faults);
  }
  process.send?.('done');
});
process.send?.(proxies.map(({ url }) => url.slice('http://'.length)));
