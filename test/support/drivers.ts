import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { plainDialer, SharedConnections } from '@waymark/server/testing';
import type { Endpoint, EndpointKind, EndpointSettings } from '@waymark/server/testing';

/** What a driver is opened with in tests of its own. */
export interface Drivers {
  readonly connections: SharedConnections;
  open(uri: string, settings?: Partial<EndpointSettings>): Endpoint;
}

export const usualSettings: EndpointSettings = {
  format: 'structured',
  secrets: [],
  timeoutMs: 10_000,
};

export function driversOf(
  kind: EndpointKind,
  dialer: ReturnType<typeof plainDialer> = plainDialer(),
): Drivers {
  const connections = new SharedConnections();
  return {
    connections,
    open: (uri, more) => {
      const settings = { ...usualSettings, ...more };
      const tools = { dialer, connections, wallNow: () => Date.now() };
      return kind.open(kind.parse(uri, settings), settings, tools);
    },
  };
}

const dist = new URL('../../packages/server/dist/', import.meta.url);

/**
 * Delivers one event from a process that trusts `ca`, where every name means this machine. @param module  of `endpoints/`, as `amqp/amqp-endpoint.js`
 *
 * @returns `accepted`, or how it failed
 */
export async function deliverTrusting(
  ca: string,
  driver: { readonly module: string; readonly kind: string },
  uri: string,
): Promise<string> {
  const program = `
    import { ${driver.kind} as kind } from '${new URL(`endpoints/${driver.module}`, dist).href}';
    import { deliveryOf, eventAt, plainDialer, SharedConnections } from '${new URL('testing/index.js', dist).href}';
    const settings = ${JSON.stringify(usualSettings)};
    const dialer = { ...plainDialer(), resolve: async () => ({ address: '127.0.0.1', family: 4 }) };
    const tools = { dialer, connections: new SharedConnections(), wallNow: () => Date.now() };
    const endpoint = kind.open(kind.parse('${uri}', settings), settings, tools);
    const tried = endpoint.deliver(deliveryOf([eventAt(1)]), AbortSignal.timeout(10_000));
    process.stdout.write(await tried.then(() => 'accepted', (error) => error.message));
    await endpoint[Symbol.asyncDispose]();
  `;
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: ca };
  const args = ['--input-type=module', '-e', program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 30_000 });
  return stdout;
}
