import type { Command } from 'commander';
import {
  isWaymarkError,
  type Space,
  type StashBegun,
  type StashRepaired,
  WaymarkError,
} from 'waymark';
import { after, type GlobalOptions, print } from './context.js';
import type { Run } from './program.js';
import { ProgressLine, shownMove } from './stash-progress.js';
import { withStash } from './stash-space.js';

type Stash = Space['stash'];

const lookMs = 500;

/** Who keeps the data, and that all who do hold the same: what is asked of a stash by who runs it. */
export function stashMoveCommands(stash: Command, run: Run): void {
  leaving(stash, run, {
    name: 'drain',
    about: 'give what nodes keep to the others, and take them out; shows how far that is',
    begin: (of, nodes, { signal }) => of.drain(nodes, { signal }),
  });
  const removing = leaving(stash, run, {
    name: 'remove',
    about: 'take out nodes that are lost: the others are given what they kept',
    begin: (of, nodes, options) => of.remove(nodes, options),
    ended: forget,
  });
  removing.option(
    '--accept-loss',
    'they never come back: what only they had is lost, and no move waits for them',
  );
  move(stash, run);
  safe(stash, run);
  repair(stash, run);
}

function leaving(
  stash: Command,
  run: Run,
  {
    name,
    about,
    begin,
    ended,
  }: {
    readonly name: string;
    readonly about: string;
    readonly begin: (
      of: Stash,
      ids: readonly string[],
      options: { readonly signal: AbortSignal | undefined; readonly acceptLoss: boolean },
    ) => Promise<StashBegun>;
    readonly ended?: (of: Stash, ids: readonly string[]) => Promise<void>;
  },
): Command {
  const command = stash.command(`${name} <node...>`).description(about);
  command.option('--no-wait', 'begin it, and return');
  command.action(
    run(async (options) => {
      const [nodes] = command.processedArgs as [string[]];
      const { wait, acceptLoss = false } = command.opts<{ wait: boolean; acceptLoss?: boolean }>();
      await withStash(stash, options, async (of, signal) => {
        const { epoch } = await begin(of, nodes, { signal, acceptLoss });
        if (wait) {
          await watched(options, of, { from: epoch, signal });
          await ended?.(of, nodes);
        }
        print(options, { nodes, epoch }, '');
      });
    }),
  );
  return command;
}

/** One that was forgotten meanwhile, or came back, is no matter any more. */
async function forget(of: Stash, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await of.remove(id).catch((error: unknown) => {
      if (!isWaymarkError(error, 'not_found')) throw error;
    });
  }
}

const changes = { pause: 'pauseMove', resume: 'resumeMove', cancel: 'cancelMove' } as const;

function move(stash: Command, run: Run): void {
  const command = stash
    .command('move [what]')
    .description(
      'how far the move of data under way is; or pause, resume, cancel it, or wait for its end',
    );
  command.action(
    run(async (options) => {
      const [what = 'status'] = command.processedArgs as [string?];
      await withStash(stash, options, async (of, signal) => {
        if (what === 'wait') return await watched(options, of, { from: 0, signal });
        if (what === 'status') {
          const { move: known } = await of.status({ signal });
          const text = known === null ? 'nothing is moved' : shownMove(known);
          return print(options, { move: known }, text);
        }
        if (!Object.hasOwn(changes, what)) {
          throw new WaymarkError('invalid', `a move is not '${what}'`);
        }
        print(options, await of[changes[what as keyof typeof changes]]({ signal }), '');
      });
    }),
  );
}

function safe(stash: Command, run: Run): void {
  const command = stash
    .command('safe <node>')
    .description('whether a node may be stopped now, and its disk be lost; exit code 1 when not');
  command.action(
    run(async (options) => {
      const [id] = command.processedArgs as [string];
      const answer = await withStash(stash, options, (of, signal) => of.safeToStop(id, { signal }));
      print(options, answer, answer.safe ? 'yes' : `no: ${answer.reasons.join('; ')}`);
      return answer.safe ? 0 : 1;
    }),
  );
}

function repair(stash: Command, run: Run): void {
  const command = stash
    .command('repair')
    .description(
      'have all nodes compare what they keep now, and send what another lacks; exit code 1 when some did not',
    );
  command.action(
    run(async (options) => {
      const done = await withStash(stash, options, async (of, signal) => {
        const repairing = of.repair({ signal });
        await Promise.all([repairing, countedWhile(options, of, repairing)]);
        return await repairing;
      });
      print(options, done, done.nodes.map(shownRepaired).join('\n'));
      return done.nodes.every((node) => node.done) ? 0 : 1;
    }),
  );
}

function shownRepaired(node: StashRepaired['nodes'][number]): string {
  const { id, done, compared, differing, fetched, pushed } = node;
  const told = `compared with ${compared} nodes, ${differing} partitions differed, ${fetched} entries fetched, ${pushed} sent`;
  return `${id}  ${told}${done ? '' : '  not done'}`;
}

/** Entries that repair has brought from one node to another so far. */
async function countedWhile(
  options: GlobalOptions,
  of: Stash,
  work: Promise<unknown>,
): Promise<void> {
  let over = false;
  const ended = work.then(
    () => (over = true),
    () => (over = true),
  );
  const count = async (): Promise<number> => {
    const { nodes } = await of.status();
    return nodes.reduce(
      (sum, { figures }) => sum + (figures?.fetched ?? 0) + (figures?.pushed ?? 0),
      0,
    );
  };
  const line = new ProgressLine(options);
  const before = await count().catch(() => 0);
  await Promise.race([ended, after(lookMs)]);
  while (!over) {
    const entries = (await count().catch(() => before)) - before;
    line.tell(`${entries} entries so far`, { entries });
    await Promise.race([ended, after(lookMs)]);
  }
  line.end();
}

/** Until nothing is moved any more. @param from  the epoch of the move */
async function watched(
  options: GlobalOptions,
  of: Stash,
  { from, signal }: { readonly from: number; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const line = new ProgressLine(options);
  for (;;) {
    const { epoch, move: known } = await of.status({ signal });
    if (epoch >= from && known === null) return line.end();
    if (known !== null) line.tell(shownMove(known), known);
    await after(lookMs);
  }
}
