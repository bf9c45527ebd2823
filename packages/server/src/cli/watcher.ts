import type { Command } from 'commander';
import { type Space, type WatcherEvent, WaymarkError } from 'waymark';
import { type GlobalOptions, print, withNamespace } from './context.js';
import type { Run } from './program.js';
import { keysCommands } from './watcher-keys.js';
import { described, everyWatcher, eventLine, letterLine, listLine } from './watcher-lines.js';
import { afterOf, changeable, type ChangeOptions, changeOf, modeOf } from './watcher-options.js';

type Work<T> = (space: Space, signal: AbortSignal | undefined) => Promise<T>;

const ask = <T>(options: GlobalOptions, work: Work<T>): Promise<T> =>
  withNamespace(options, (_ns, space, signal) => work(space, signal));

/** Registered watches: what they match is delivered to endpoints by the servers. */
export function watcherCommand(program: Command, run: Run): void {
  const watcher = program
    .command('watcher')
    .description('registered watches, delivered to endpoints by the servers')
    .addHelpText(
      'after',
      `
Examples:
  waymark watcher add '/orders/*' https://example.com/hook
  waymark watcher add '/orders/*' amqp://user:password@mq/shop --from beginning --label team=billing
  waymark watcher ls --label team=billing
  waymark watcher test ID && waymark watcher events

A pattern is a glob over whole paths: * is any text, slashes too; quote it. What is put, deleted or expires there is told. Add prints the ID that the other commands take.`,
    );
  addCommand(watcher, run);
  lookCommands(watcher, run);
  changeCommand(watcher, run);
  removeCommand(watcher, run);
  turnCommands(watcher, run);
  eventsCommand(watcher, run);
  lettersCommand(watcher, run);
  modeCommand(watcher, run);
  keysCommands(watcher, run);
}

interface AddOptions extends ChangeOptions {
  readonly from?: string;
}

function addCommand(watcher: Command, run: Run): void {
  const command = changeable(
    watcher
      .command('add <pattern> <endpoint>')
      .description('register a watch; the same one again changes what it names'),
  ).option('--from <where>', 'now, beginning or a revision: what is told first');
  command.action(
    run(async (options) => {
      const [pattern, endpoint] = command.processedArgs as [string, string];
      const own = command.opts<AddOptions>();
      const { namespace } = options;
      const from = own.from === undefined || own.from === 'now' ? own.from : afterOf(own.from);
      const { lifetime, ...change } = changeOf(own);
      const wish = {
        namespace,
        pattern,
        endpoint,
        from,
        ...change,
        lifetime: lifetime ?? undefined,
      };
      const added = await ask(options, (space, signal) =>
        space.watchers.add(wish as Parameters<typeof space.watchers.add>[0], { signal }),
      );
      print(options, added, added.watcher.id);
    }),
  );
}

function changeCommand(watcher: Command, run: Run): void {
  const command = changeable(
    watcher
      .command('change <id>')
      .description(
        'change it; retry, end, batch, format, secret and timeout for all watchers of its endpoint',
      ),
  );
  command.action(
    run(async (options) => {
      const id = command.processedArgs[0] as string;
      const change = changeOf(command.opts<ChangeOptions>());
      const info = await ask(options, (space, signal) =>
        space.watchers.change(id, change, { signal }),
      );
      print(options, info, described(info));
    }),
  );
}

function lookCommands(watcher: Command, run: Run): void {
  const ls = watcher
    .command('ls')
    .description('watchers of all namespaces, or those asked for')
    .option('--label <name=value>', 'those with this label; NAME alone: with any value')
    .option('--endpoint <uri>', 'those of this endpoint, or of that of this watcher')
    .option('--of <namespace>', 'those of this namespace');
  ls.action(
    run(async (options) => {
      const { label, endpoint, of } = ls.opts<{ label?: string; endpoint?: string; of?: string }>();
      await ask(options, async (space, signal) => {
        const call = { label, endpoint, namespace: of, signal };
        for await (const one of everyWatcher(space, call)) print(options, one, listLine(one));
      });
    }),
  );
  const show = watcher.command('show <id>').description('a watcher, and how its deliveries go');
  show.action(
    run(async (options) => {
      const id = show.processedArgs[0] as string;
      const info = await ask(options, (space, signal) => space.watchers.get(id, { signal }));
      if (info === null) throw new WaymarkError('not_found', `there is no watcher ${id}`);
      print(options, info, described(info));
    }),
  );
}

function removeCommand(watcher: Command, run: Run): void {
  const command = watcher
    .command('rm [id]')
    .description('remove a watcher, or all with a label; exit code 1 when there was none')
    .option('--label <name=value>', 'all with this label');
  command.action(
    run(async (options) => {
      const [id] = command.processedArgs as [string?];
      const { label } = command.opts<{ label?: string }>();
      if ((id === undefined) === (label === undefined))
        throw new WaymarkError('invalid', 'name an id or a --label, and not both');
      const count = await ask(options, async ({ watchers }, signal) => {
        if (label !== undefined) return await watchers.removeLabelled(label, { signal });
        return (await watchers.remove(id as string, { signal })) ? 1 : 0;
      });
      print(options, { removed: count }, count === 1 ? 'removed' : `${count} removed`);
      return count === 0 ? 1 : 0;
    }),
  );
}

function turnCommands(watcher: Command, run: Run): void {
  for (const verb of ['pause', 'resume'] as const) {
    const what = verb === 'pause' ? 'let it stand still' : 'go on: what it missed comes first';
    const command = watcher.command(`${verb} <id>`).description(what);
    command.action(
      run(async (options) => {
        const id = command.processedArgs[0] as string;
        const info = await ask(options, ({ watchers }, signal) => watchers[verb](id, { signal }));
        print(options, info, described(info));
      }),
    );
  }
  const replay = watcher
    .command('replay <id>')
    .description('tell what came after a revision once more, before anything new')
    .requiredOption('--after <revision>', 'beginning or a revision');
  replay.action(
    run(async (options) => {
      const id = replay.processedArgs[0] as string;
      const after = afterOf(replay.opts<{ after: string }>().after);
      const info = await ask(options, ({ watchers }, signal) =>
        watchers.replay(id, { after, signal }),
      );
      print(options, info, described(info));
    }),
  );
  const test = watcher
    .command('test <id>')
    .description('deliver a probe; exit code 1 when the endpoint does not accept it');
  test.action(
    run(async (options) => {
      const id = test.processedArgs[0] as string;
      const told = await ask(options, ({ watchers }, signal) => watchers.test(id, { signal }));
      print(options, told, told.accepted ? `accepted in ${told.tookMs} ms` : `${told.error}`);
      return told.accepted ? 0 : 1;
    }),
  );
}

function eventsCommand(watcher: Command, run: Run): void {
  const command = watcher
    .command('events')
    .description('what becomes of watchers, as it happens, until interrupted')
    .option('--after <id>', 'go on after this event');
  command.action(
    run(async (options) => {
      const { after } = command.opts<{ after?: string }>();
      const stop = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
      const tell = (event: WatcherEvent): void => print(options, event, eventLine(event));
      await ask(options, async ({ watchers }, timeout) => {
        const signal =
          timeout === undefined ? stop.signal : AbortSignal.any([stop.signal, timeout]);
        try {
          for await (const event of watchers.events({ after, signal })) tell(event);
        } catch (error) {
          if (!signal.aborted) throw error;
        }
      });
    }),
  );
}

function lettersCommand(watcher: Command, run: Run): void {
  const command = watcher
    .command('dead-letters <id>')
    .description("its endpoint's deliveries that were given up")
    .option('--replay', 'tell them again, oldest first', false)
    .option('--drop', 'drop them', false);
  command.action(
    run(async (options) => {
      const id = command.processedArgs[0] as string;
      const { replay, drop } = command.opts<{ replay: boolean; drop: boolean }>();
      if (replay && drop) throw new WaymarkError('invalid', 'take --replay or --drop, not both');
      await ask(options, async ({ watchers }, signal) => {
        if (replay || drop) {
          const count = replay
            ? await watchers.replayDeadLetters(id, { signal })
            : await watchers.dropDeadLetters(id, { signal });
          return print(options, { count }, `${count} ${replay ? 'are told again' : 'dropped'}`);
        }
        for (let after: string | undefined; ;) {
          const { letters, more } = await watchers.deadLetters(id, { after, signal });
          for (const letter of letters) print(options, letter, letterLine(letter));
          after = letters.at(-1)?.id;
          if (!more) return;
        }
      });
    }),
  );
}

function modeCommand(watcher: Command, run: Run): void {
  const command = watcher
    .command('mode [mode]')
    .description('how endpoints are shared out: endpoint, kind, pattern[:MOST] or fixed:SHARES')
    .addHelpText(
      'after',
      `
endpoint: each by itself. kind: those of one kind together. pattern:10: those of one pattern together, at most 10 to a server. fixed:4: in four shares.
Whatever the mode, an endpoint has one sender. Without a mode it shows the one that is set, and who delivers.`,
    );
  command.action(
    run(async (options) => {
      const [text] = command.processedArgs as [string?];
      await ask(options, async ({ watchers }, signal) => {
        if (text !== undefined) await watchers.setMode(modeOf(text), { signal });
        const mode = await watchers.mode({ signal });
        const processors = await watchers.processors({ signal });
        const lines = processors.map(({ id, owner, endpoints }) => `${id}  ${owner}  ${endpoints}`);
        print(options, { mode, processors }, [JSON.stringify(mode), ...lines].join('\n'));
      });
    }),
  );
}
