import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Command } from '../support/command.js';

const built = fileURLToPath(new URL('../../packages/server/dist', import.meta.url));

/** Delivers one event from a process of its own, whose roots of trust are its own too. Every name is this machine. */
const program = `
  const [built, file, name, uri] = process.argv.slice(1);
  const { [name]: kind } = await import(built + '/endpoints/' + file);
  const { SharedConnections, plainDialer, deliveryOf, eventAt } = await import(built + '/testing/index.js');
  const plain = plainDialer();
  const dialer = {
    ...plain,
    resolve: (_host, signal) => plain.resolve('127.0.0.1', signal),
    connect: (to, signal) => plain.connect({ ...to, host: '127.0.0.1' }, signal),
  };
  const settings = { format: 'structured', secrets: [], timeoutMs: 10_000 };
  const tools = { dialer, connections: new SharedConnections(), wallNow: () => Date.now() };
  const endpoint = kind.open(kind.parse(uri, settings), settings, tools);
  try {
    await endpoint.deliver(deliveryOf([eventAt(1)]), AbortSignal.timeout(10_000));
    console.log('accepted');
  } catch (error) {
    console.log(error.verdict + ' ' + error.message);
  }
  await endpoint[Symbol.asyncDispose]();
`;

/** What comes of a delivery, by host and `sslmode`, with and without the authority that signed the server's certificate. */
export function tlsCases(
  name: string,
  driver: { readonly file: string; readonly kind: string },
  place: () => { readonly authority: string; uri(host: string, mode: string): string },
): void {
  test.each([
    { host: 'localhost', mode: 'verify-full', trusted: true, told: /^accepted/ },
    { host: 'localhost', mode: 'verify-full', trusted: false, told: /^again .*certificate/ },
    { host: 'db.example', mode: 'verify-full', trusted: true, told: /^again .*certificate/ },
    { host: 'db.example', mode: 'verify-ca', trusted: true, told: /^accepted/ },
    { host: 'db.example', mode: 'verify-ca', trusted: false, told: /^again .*certificate/ },
    { host: 'db.example', mode: 'require', trusted: false, told: /^accepted/ },
  ])(
    `${name}: [tls] sslmode=$mode to $host, its authority known: $trusted`,
    async ({ host, mode, trusted, told }) => {
      const { authority, uri } = place();
      const args = [built, driver.file, driver.kind, uri(host, mode)];
      const env = trusted ? { NODE_EXTRA_CA_CERTS: authority } : {};
      const child = new Command(process.execPath, ['--input-type=module', '-e', program, ...args], {
        env,
      });
      const { out, err } = await child.done;
      expect(out, err).toMatch(told);
    },
  );
}
