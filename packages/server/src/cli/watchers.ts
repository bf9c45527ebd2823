import { hostname } from 'node:os';
import { type Command, Option } from 'commander';
import { addDeliveryFlags, type DeliveryFlags, deliveryOf } from './delivery-flags.js';
import type { Run } from './program.js';
import { print } from './context.js';

interface WatchersOptions extends DeliveryFlags {
  readonly engine: string;
  readonly ttl: string;
  readonly logLevel: string;
}

/** A processor of registered watches alone: it delivers, and serves nobody. */
export function watchersCommand(program: Command, run: Run): void {
  const command = addDeliveryFlags(program.command('watchers'))
    .description('deliver what registered watches match, as a server does, and serve nothing')
    .requiredOption(
      '--engine <url>',
      'etcd://…, postgres://…, or a server that gives its engine: http://…',
    )
    .option('--ttl <duration>', 'how long others wait for it when it is silent', '5s')
    .addOption(
      new Option('--log-level <level>')
        .choices(['fatal', 'error', 'warn', 'info', 'debug', 'silent'])
        .default('info'),
    );
  command.addHelpText(
    'after',
    `
Servers deliver by themselves, unless they are started with --no-watchers. Processors of any number share the endpoints out; none has two.

Examples:
  waymark watchers --engine etcd://a:2379,b:2379 --secrets-key-file /etc/waymark/secrets.key`,
  );
  command.action(
    run(async (options) => {
      const { ttl, engine, logLevel, ...flags } = command.opts<WatchersOptions>();
      const { runWatchers } = await import('../watchers/alone.js');
      const stop = new Promise<void>((resolve) => {
        for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
      });
      const owner = `${hostname()}:${process.pid}`;
      const call = { engine, logLevel, owner, ...deliveryOf(flags, ttl) };
      const running = await runWatchers(call);
      print(
        options,
        { delivering: true, owner },
        `${owner} delivers what registered watches match`,
      );
      await stop;
      await running[Symbol.asyncDispose]();
    }),
  );
}
