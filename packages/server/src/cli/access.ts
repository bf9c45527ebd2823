import type { Command } from 'commander';
import { askServer } from './ask-server.js';
import { type GlobalOptions, oneMore, print, secondsMs } from './context.js';
import type { Run } from './program.js';

interface Rule {
  readonly actions: readonly string[];
  readonly namespace?: string;
  readonly path?: string;
  readonly stash?: string;
}

interface Token {
  readonly id: string;
  readonly user: string;
  readonly note: string;
  readonly expiresAt: number | null;
  readonly roles: readonly string[];
}

/** Who may do what, by `/v1/access`. */
export function accessCommand(program: Command, run: Run): void {
  const command = program.command('access').description('who may do what: tokens, roles, rules');
  command.addHelpText(
    'after',
    `
Examples:
  waymark access on                                        from now on nobody may do anything without a token; prints one of root
  waymark access rule add deployer lock,read /deploy       the role deployer may lock and read /deploy and all below
  waymark access token add ci --role deployer --ttl 2160h  a token for ci, shown once
  waymark access token rm ID                               it ends, and what is open by it within a second`,
  );
  switches(command, run);
  tokens(command.command('token').description('what users show'), run);
  rules(command.command('rule').description('what roles permit'), run);
  roles(command.command('role').description('which users have which roles'), run);
}

function switches(command: Command, run: Run): void {
  const status = async (options: GlobalOptions, method: string, path: string): Promise<void> => {
    const told = await answer<Record<string, unknown>>(options, method, path);
    const { on, users = 0, roles: made = 0, tokens: given = 0, token } = told;
    const shown = token === undefined ? '' : `\na token of root, shown once: ${String(token)}`;
    const counts = `${String(users)} users, ${String(made)} roles, ${String(given)} tokens`;
    const counted = 'users' in told ? `; ${counts}` : '';
    print(options, told, `access is ${on === true ? 'on' : 'off'}${counted}${shown}`);
  };
  command
    .command('status')
    .description('whether access is on')
    .action(run((options) => status(options, 'GET', '/v1/access')));
  command
    .command('on')
    .description('refuse what no rule permits; prints a token of root where there is none')
    .action(run((options) => status(options, 'POST', '/v1/access/on')));
  command
    .command('off')
    .description('let everyone do everything again')
    .action(run((options) => status(options, 'POST', '/v1/access/off')));
  command
    .command('renew-peers')
    .description('let servers show each other another secret; the one before is good for nothing')
    .action(
      run(async (options) => {
        await askServer(options, 'POST', '/v1/access/peers/renew');
      }),
    );
}

function tokens(command: Command, run: Run): void {
  const add = command
    .command('add <user>')
    .description('make a token; the user is made where there is none')
    .option('--role <name>', 'given to the user; may be repeated', oneMore, [])
    .option('--ttl <duration>', 'it ends so long from now; default: never')
    .option('--note <text>', 'for people', '');
  add.action(
    run(async (options) => {
      const { role, ttl, note } = add.opts<{ role: string[]; ttl?: string; note: string }>();
      const ttlMs = ttl === undefined ? undefined : secondsMs(ttl);
      const wish = { user: add.processedArgs[0] as string, roles: role, note, ttlMs };
      const made = await answer<{ token: string }>(options, 'POST', '/v1/access/tokens', wish);
      print(options, made, made.token);
    }),
  );
  command
    .command('ls')
    .description('the tokens there are')
    .action(
      run(async (options) => {
        const path = '/v1/access/tokens';
        const told = await answer<{ tokens: Token[] }>(options, 'GET', path);
        const lines = told.tokens.map(({ id, user, roles: has, expiresAt, note }) => {
          const ends =
            expiresAt === null ? 'never ends' : `until ${new Date(expiresAt).toISOString()}`;
          return `${id}  ${user}  [${has.join(', ')}]  ${ends}  ${note}`;
        });
        print(options, told, lines.join('\n'));
      }),
    );
  const remove = command.command('rm <id>').description('end a token');
  remove.action(
    run(async (options) => {
      await askServer(options, 'DELETE', `/v1/access/tokens/${argument(remove, 0)}`);
    }),
  );
}

function rules(command: Command, run: Run): void {
  const add = about(
    command
      .command('add <role> <actions> [path]')
      .description(
        'permit actions (read,watch,write,lock,lead,send,watchers,observe,admin) on a path and all below',
      ),
  );
  add.action(
    run(async (options) => {
      const actions = (add.processedArgs[1] as string).split(',');
      const rule = { ...subjectOf(add, options, 2), actions };
      const path = `/v1/access/roles/${argument(add, 0)}/rules`;
      const told = await answer<Rule>(options, 'POST', path, rule);
      print(options, told, lineOf(add.processedArgs[0] as string, told));
    }),
  );
  const remove = about(command.command('rm <role> [path]').description('permit it no more'));
  remove.action(
    run(async (options) => {
      const query = new URLSearchParams(subjectOf(remove, options, 1));
      const path = `/v1/access/roles/${argument(remove, 0)}/rules?${query}`;
      await askServer(options, 'DELETE', path);
    }),
  );
  command
    .command('ls')
    .description('the rules of all roles')
    .action(
      run(async (options) => {
        type Told = { readonly roles: readonly { role: string; rules: readonly Rule[] }[] };
        const told = await answer<Told>(options, 'GET', '/v1/access/roles');
        const lines = told.roles.flatMap(({ role, rules: its }) =>
          its.map((rule) => lineOf(role, rule)),
        );
        print(options, told, lines.join('\n'));
      }),
    );
}

function roles(command: Command, run: Run): void {
  for (const [verb, method, text] of [
    ['give', 'POST', 'give a user a role'],
    ['take', 'DELETE', 'take it away'],
  ] as const) {
    const one = command.command(`${verb} <user> <role>`).description(text);
    one.action(
      run(async (options) => {
        const user = `/v1/access/users/${argument(one, 0)}`;
        if (method === 'DELETE') {
          await askServer(options, method, `${user}/roles/${argument(one, 1)}`);
          return;
        }
        await askServer(options, 'PUT', user);
        const body = { role: one.processedArgs[1] as string };
        await askServer(options, method, `${user}/roles`, { body });
      }),
    );
  }
  const remove = command.command('rm <role>').description('remove a role');
  remove.action(
    run(async (options) => {
      await askServer(options, 'DELETE', `/v1/access/roles/${argument(remove, 0)}`);
    }),
  );
  command
    .command('ls')
    .description('the users, and the roles they have')
    .action(
      run(async (options) => {
        type Told = { readonly users: readonly { user: string; roles: readonly string[] }[] };
        const told = await answer<Told>(options, 'GET', '/v1/access/users');
        const lines = told.users.map(({ user, roles: has }) => `${user}  [${has.join(', ')}]`);
        print(options, told, lines.join('\n'));
      }),
    );
}

function about(command: Command): Command {
  return command
    .option('--all-namespaces', 'in every namespace, not in --namespace alone', false)
    .option('--stash <index>', 'on an index of the stash instead of a path; *: on all');
}

function subjectOf(command: Command, options: GlobalOptions, at: number): Record<string, string> {
  const { stash, allNamespaces } = command.opts<{ stash?: string; allNamespaces: boolean }>();
  if (stash !== undefined) return { stash };
  const path = (command.processedArgs[at] as string | undefined) ?? '/';
  return { namespace: allNamespaces ? '*' : options.namespace, path };
}

function lineOf(role: string, { actions, namespace, path, stash }: Rule): string {
  const where = stash === undefined ? `${path} in ${namespace}` : `stash ${stash}`;
  return `${role}  ${actions.join(',')}  ${where}`;
}

function argument(command: Command, at: number): string {
  return encodeURIComponent(command.processedArgs[at] as string);
}

async function answer<T>(
  options: GlobalOptions,
  method: string,
  path: string,
  body?: object,
): Promise<T> {
  const response = await askServer(options, method, path, body === undefined ? {} : { body });
  return (await response.json()) as T;
}
