import type { Command } from 'commander';
import { outColors } from './colors.js';
import { withoutPassword } from 'waymark/engine';
import type { Run } from './program.js';

interface ServeOptions {
  readonly listen?: string[];
  readonly engine: string;
  readonly advertise?: string;
  readonly insecure: boolean;
  readonly historyRevisions?: number;
  readonly historyBytes?: number;
  readonly mirror: boolean;
  readonly mirrorBytes?: number;
  readonly logLevel: string;
}

/** A second signal ends a stop that takes too long; the first leaves 10 s. */
const stopMsMax = 10_000;

export function serveCommand(program: Command, run: Run): void {
  const command = program
    .command('serve')
    .description('run a server: REST, SSE, WebSocket and the binary protocol on one port')
    .option(
      '-l, --listen <address...>',
      'host:port (0: a free one), [ipv6]:port or unix:/path; default 127.0.0.1:7420',
    )
    .option(
      '-e, --engine <url>',
      'memory, file:DIR, or etcd://host:port/root, which many servers may share',
      'file:./waymark-data',
    )
    .option('--mirror', 'keep what is there in memory too, for stale reads and watches', false)
    .option('--mirror-bytes <n>', 'at most so much, or no mirror; default 67108864', Number)
    .option('--advertise <url>', 'where other servers reach this one, default the first address')
    .option('--history-revisions <n>', 'keep at least so many; default 10000', Number)
    .option(
      '--history-bytes <n>',
      'and at least so many bytes of changes; default 67108864',
      Number,
    )
    .option('--insecure', 'listen beyond loopback though there are no access rules', false)
    .option('--log-level <level>', 'debug, info, warn, error or silent', 'warn')
    .addHelpText(
      'after',
      '\nExamples:\n  waymark serve --listen 127.0.0.1:7420 unix:/run/waymark.sock\n  waymark serve --engine memory\n  waymark serve --engine etcd://10.0.0.1:2379,10.0.0.2:2379/orders --mirror',
    );
  command.action(
    run(async ({ json }) => {
      const { listen, engine, advertise, insecure, logLevel, ...kept } =
        command.opts<ServeOptions>();
      const mirror = kept.mirror && { bytesMax: kept.mirrorBytes };
      const history = { revisions: kept.historyRevisions, bytes: kept.historyBytes };
      const shown = withoutPassword(engine);
      // Before anyone can know the address, and send a signal.
      const stopped = stopSignal();
      // Loaded here alone: every other command starts in half the time without the server's libraries.
      const { startServer } = await import('../server.js');
      const server = await startServer({
        listen,
        engine,
        advertise,
        history,
        mirror,
        insecure,
        logLevel,
      });
      if (json)
        process.stdout.write(
          `${JSON.stringify({ addresses: server.addresses, engine: shown, pid: process.pid })}\n`,
        );
      else process.stdout.write(welcome(server.addresses, shown));
      await stopped;
      const forced = setTimeout(() => process.exit(1), stopMsMax);
      await server.close();
      clearTimeout(forced);
    }),
  );
}

function welcome(addresses: readonly string[], engine: string): string {
  const port = addresses.find((address) => !address.startsWith('unix:'));
  const http =
    port === undefined
      ? `--unix-socket ${addresses[0]?.slice('unix:'.length)} http://localhost`
      : `http://${port}`;
  return `${outColors.bold('Waymark')} serves ${engine} at ${addresses.join(', ')}. Try, from another shell:

  curl -X PUT --data hello ${http}/v1/ns/default/keys/greeting
  curl ${http}/v1/ns/default/keys/greeting
  curl -N '${http}/v1/ns/default/watch?tree'

`;
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}
