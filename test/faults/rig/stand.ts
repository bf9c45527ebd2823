import { Network } from './namespaces.js';

/** Makes a network, says which processes stand in it, and waits to be killed. */
const network = await Network.create(2);
process.stdout.write(`${JSON.stringify(network.hosts.map(({ pid }) => pid))}\n`);
setInterval(() => {}, 60_000);
