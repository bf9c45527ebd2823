import type { Command } from 'commander';
import { WaymarkError } from 'waymark';
import { type Engine, nodePeers, openEngine, systemClock, systemRandom } from 'waymark/engine';
import {
  beginMove,
  cancelMove,
  forgetNode,
  type Known,
  type MoveStatus,
  moveStatus,
  pauseMove,
  RemotePeer,
  safeToStop,
  ViewWatch,
} from 'waymark/stash';
import { after, type GlobalOptions, print } from './context.js';
import type { Run } from './program.js';

interface Reached {
  readonly engine: Engine;
  readonly views: ViewWatch;
  readonly known: Known;
}

const lookMs = 1_000;

/** What moves data between nodes: asked of the space itself, by `--space` of `waymark stash`, or a server that gives its engine. */
export function stashMoveCommands(stash: Command, run: Run): void {
  leaving(stash, run, {
    name: 'drain',
    about: 'give what a node keeps to the others, and take it out; shows how far that is',
    check: ({ known }, id) => {
      if (!known.isAlive(id))
        throw conflict(`node ${id} is away: \`waymark stash remove\` takes it out`);
    },
  });
  leaving(stash, run, {
    name: 'remove',
    about: 'take out a node that is lost: the others are given what it kept',
    check: ({ known }, id) => {
      if (known.isAlive(id))
        throw conflict(`node ${id} is alive: \`waymark stash drain\` empties it first`);
    },
  });
  move(stash, run);
  safe(stash, run);
}

function leaving(
  stash: Command,
  run: Run,
  { name, about, check }: { name: string; about: string; check: (at: Reached, id: string) => void },
): void {
  const command = stash.command(`${name} <node>`).description(about);
  command.option('--no-wait', 'begin it, and return');
  command.action(
    run(async (options) => {
      const [id] = command.processedArgs as [string];
      await reached(stash, options, async (at) => {
        const placed = at.known.view?.view.nodes ?? [];
        if (!placed.some((node) => node.id === id)) throw notFound(id);
        check(at, id);
        const begun = await beginMove(at.engine, (nodes) => nodes.filter((node) => node.id !== id));
        if (command.opts<{ wait: boolean }>().wait) {
          await watched(options, at, begun.view.epoch);
          if (name === 'remove') await forgetNode(at.engine, id);
        }
        print(options, { node: id, epoch: begun.view.epoch }, '');
      });
    }),
  );
}

function move(stash: Command, run: Run): void {
  const command = stash
    .command('move [what]')
    .description(
      'how far the move of data under way is; or pause, resume, cancel it, or wait for it',
    );
  command.action(
    run(async (options) => {
      const [what = 'status'] = command.processedArgs as [string?];
      await reached(stash, options, async (at) => {
        if (what === 'wait') await watched(options, at, 0);
        else if (what === 'pause' || what === 'resume')
          await pauseMove(at.engine, what === 'pause');
        else if (what === 'cancel') await cancelMove(at.engine);
        else if (what !== 'status') throw new WaymarkError('invalid', `a move is not '${what}'`);
        if (what !== 'status') return;
        const known = moveStatus(at.known, systemClock.wallNow());
        print(options, { move: known }, known === null ? 'nothing is moved' : shown(known));
      });
    }),
  );
}

function safe(stash: Command, run: Run): void {
  const command = stash
    .command('safe <node>')
    .description('whether a node may be stopped, and its disk be lost; exit code 1 when not');
  command.action(
    run(async (options) => {
      const [id] = command.processedArgs as [string];
      const { token, tlsCa: ca } = stash.opts<{ token?: string; tlsCa?: string }>();
      const peers = nodePeers({ clock: systemClock, random: systemRandom }, { token, ca });
      try {
        return await reached(stash, options, async ({ known }) => {
          const peerOf = (one: string) => new RemotePeer(peers, known.addressOf(one) ?? '');
          const answer = await safeToStop(id, known, peerOf);
          print(options, answer, answer.safe ? 'yes' : `no: ${answer.reasons.join('; ')}`);
          return answer.safe ? 0 : 1;
        });
      } finally {
        await peers.close();
      }
    }),
  );
}

async function reached<T>(
  stash: Command,
  options: GlobalOptions,
  work: (at: Reached) => Promise<T>,
): Promise<T> {
  const { space = options.server } = stash.opts<{ space?: string }>();
  const engine = await openEngine(space, { clock: systemClock, random: systemRandom });
  const views = new ViewWatch(engine, systemClock);
  try {
    return await work({ engine, views, known: await views.known() });
  } finally {
    await views.close();
    await engine[Symbol.asyncDispose]();
  }
}

/** Until nothing is moved any more: a line each second on standard error. @param from  the epoch of the move */
async function watched(options: GlobalOptions, { views }: Reached, from: number): Promise<void> {
  for (;;) {
    const known = await views.known();
    const status = known.epoch < from ? null : moveStatus(known, systemClock.wallNow());
    if (known.epoch >= from && status === null) return;
    if (status !== null && !options.json) process.stderr.write(`${shown(status)}\n`);
    await after(lookMs);
  }
}

function shown({ phase, paused, partitions, of, entries, leftMs, waitingFor }: MoveStatus): string {
  const share = of === 0 ? 0 : Math.floor((partitions / of) * 20);
  const bar = '#'.repeat(share).padEnd(20, '.');
  const left = leftMs === null || paused ? '' : `, ${Math.ceil(leftMs / 1_000)} s left`;
  const waits = waitingFor.length === 0 ? '' : `; waits for ${waitingFor.join(', ')}`;
  const state = paused ? 'paused' : phase;
  return `${state} [${bar}] ${partitions} of ${of} partitions, ${entries} entries${left}${waits}`;
}

function conflict(message: string): WaymarkError {
  return new WaymarkError('conflict', message);
}

function notFound(id: string): WaymarkError {
  return new WaymarkError('not_found', `node ${id} keeps nothing: see \`waymark stash nodes\``);
}
