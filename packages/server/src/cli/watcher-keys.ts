import type { Command } from 'commander';
import { type SecretsKeys, WaymarkError } from 'waymark';
import { systemRandom } from 'waymark/engine';
import { type GlobalOptions, print, withNamespace } from './context.js';
import type { Run } from './program.js';

/** The keys that encrypt the secrets of endpoints: files of them are changed here, and what is stored by a server. */
export function keysCommands(watcher: Command, run: Run): void {
  const keys = watcher
    .command('keys')
    .description('the keys that encrypt the passwords and secrets of endpoints')
    .addHelpText(
      'after',
      `
generate, rotate and drop change a file on this machine; status and reseal ask the server at --server. To rotate while servers run:

  waymark watcher keys rotate /etc/waymark/secrets.key   # and give the file to all servers: they read it by themselves
  waymark watcher keys reseal                            # encrypts what is stored with the new key
  waymark watcher keys drop /etc/waymark/secrets.key OLD # refused while the old key is still needed`,
    );
  fileCommands(keys, run);
  dropCommand(keys, run);
  serverCommands(keys, run);
}

function fileCommands(keys: Command, run: Run): void {
  const generate = keys
    .command('generate <file>')
    .description('make a file of one key, for its owner alone; prints the id of the key');
  generate.action(
    run(async (options) => {
      const file = generate.processedArgs[0] as string;
      const { generateSecretsFile } = await import('../watchers/sealing-keys-file.js');
      const id = await generateSecretsFile(file, systemRandom);
      print(options, { file, id }, id);
    }),
  );
  const rotate = keys
    .command('rotate <file>')
    .description('put a new key before those of a file; prints its id');
  rotate.action(
    run(async (options) => {
      const file = rotate.processedArgs[0] as string;
      const { rotateSecretsFile } = await import('../watchers/sealing-keys-file.js');
      const id = await rotateSecretsFile(file, systemRandom);
      print(options, { file, id }, id);
    }),
  );
}

function dropCommand(keys: Command, run: Run): void {
  const drop = keys
    .command('drop <file> <id>')
    .description('take a key out of a file, unless it is the first, or the server has use for it');
  drop.action(
    run(async (options) => {
      const [file, id] = drop.processedArgs as [string, string];
      const { dropSecretsKey } = await import('../watchers/sealing-keys-file.js');
      const stored = await asked(options);
      const endpoints = stored.keys.find((one) => one.id === id)?.endpoints ?? 0;
      if (endpoints > 0) {
        const text = `'${id}' encrypts the secrets of ${endpoints} endpoints: have them encrypted anew first (reseal)`;
        throw new WaymarkError('conflict', text);
      }
      await dropSecretsKey(file, id);
      print(options, { file, id, dropped: true }, 'dropped');
    }),
  );
}

function serverCommands(keys: Command, run: Run): void {
  keys
    .command('status')
    .description('which keys the server has, newest first, and how many endpoints each encrypts')
    .action(
      run(async (options) => {
        const stored = await asked(options);
        print(options, stored, lines(stored));
      }),
    );
  keys
    .command('reseal')
    .description('encrypt all that is stored with the newest key; prints how many endpoints')
    .action(
      run(async (options) => {
        const count = await withNamespace(options, (_ns, { watchers }, signal) =>
          watchers.reseal({ signal }),
        );
        print(options, { resealed: count }, `${count} encrypted anew`);
      }),
    );
}

function asked(options: GlobalOptions): Promise<SecretsKeys> {
  return withNamespace(options, (_ns, { watchers }, signal) => watchers.secretsKeys({ signal }));
}

function lines({ newest, keys, clear }: SecretsKeys): string {
  const all = keys.map(({ id, endpoints, here }) => {
    const use = id === newest ? 'encrypts' : here ? 'decrypts' : 'missing on this server';
    return `${id}  ${endpoints}  ${use}`;
  });
  if (clear > 0) all.push(`-  ${clear}  without secrets, in the clear`);
  return all.length === 0 ? 'no key' : all.join('\n');
}
