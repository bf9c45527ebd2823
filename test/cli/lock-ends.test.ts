import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorTable } from 'waymark/engine';
import { Command, runWaymark, serve, waymark } from '../support/command.js';
import { folder, url } from '../support/served.js';
import { lastStep, stubborn } from '../support/worker.js';

/** `waymark lock PATH -- COMMAND`: nothing of the command runs on when the lock can pass to someone else. */

test('[L11] waymark itself is killed: its command is gone before the lock passes on', async () => {
  const file = join(folder, 'killed');
  const holder = runWaymark(url, ['lock', '/killed', '--ttl', '2s', '--', ...stubborn(file)]);
  await holder.says('started');
  const next = runWaymark(url, ['lock', '/killed', '--', 'date', '+%s%3N']);
  holder.child.kill('SIGKILL');
  const { code, out } = await next.done;
  expect(code).toBe(0);
  expect(lastStep(file)).toBeLessThan(Number(out));
  const before = lastStep(file);
  await expect(runWaymark(url, ['explain', '/killed']).done).resolves.toMatchObject({ code: 0 });
  expect(lastStep(file), 'no step after the lock passed on').toBe(before);
});

test('[L11] the server is lost: the command is ended within the TTL, with the code of a lost lock', async () => {
  const { command: other, url: gone } = await serve(['--engine', 'memory']);
  const file = join(folder, 'lost');
  const holder = runWaymark(gone, ['lock', '/lost', '--ttl', '2s', '--', ...stubborn(file)]);
  await holder.says('started');
  const killed = Date.now();
  await other.stop('SIGKILL');
  const { code, err } = await holder.done;
  expect(code, err).toBe(errorTable.lost.exit);
  expect(lastStep(file) - killed).toBeLessThan(2_000);
  expect(Date.now() - killed, 'the command itself ends soon after').toBeLessThan(8_000);
});

test('[L11] what a command leaves behind is gone before the lock is released', async () => {
  const holder = runWaymark(url, [
    'lock',
    '/left',
    '--',
    'sh',
    '-c',
    'sleep 600 & echo $!; exit 5',
  ]);
  const { code, out } = await holder.done;
  expect(code).toBe(5);
  // Gone, or dead and only not yet waited for by init.
  const { out: state } = await new Command('ps', ['-o', 'state=', '-p', out.trim()]).done;
  expect(['', 'Z']).toContain(state.trim());
});

test('[L11] told twice to end, waymark is gone at once: its command is dead before the lock passes on', async () => {
  const file = join(folder, 'twice');
  const holder = runWaymark(url, [
    'lock',
    '/twice',
    '--ttl',
    '2s',
    '--',
    ...stubborn(file, 'told'),
  ]);
  await holder.says('started');
  const next = runWaymark(url, ['lock', '/twice', '--', 'date', '+%s%3N']);
  holder.child.kill('SIGINT');
  await holder.says('told');
  await holder.stop('SIGINT');
  expect(holder.child.signalCode).toBe('SIGINT');
  const { code, out } = await next.done;
  expect(code).toBe(0);
  expect(lastStep(file)).toBeLessThan(Number(out));
});

/**
 * A command of which a process stays that waymark may not signal: it runs as nobody, and waymark as root without the right to signal
 * others. It exits with 5 once a line is written to it.
 */
class UnkillableLock {
  readonly holder: Command;
  #pid = 0;

  constructor(path: string) {
    const nobody = `${setpriv} --reuid 65534 --regid 65534 --clear-groups`;
    const stays = `${nobody} sh -c 'echo stays $$; exec sleep 600'`;
    const argv = ['lock', path, '--', 'sh', '-c', `${stays} & read -r _; exit 5`];
    const all = ['--bounding-set=-kill', process.execPath, waymark, '--server', url, ...argv];
    this.holder = new Command(setpriv, all, { input: null });
  }

  /** @returns the pid of what stays */
  async leave(): Promise<number> {
    await this.holder.says('\n');
    this.holder.child.stdin?.end('\n');
    this.#pid = Number(/stays (\d+)/.exec(this.holder.out)?.[1]);
    return this.#pid;
  }

  end(): void {
    if (this.#pid !== 0) process.kill(this.#pid, 'SIGKILL');
    this.#pid = 0;
  }

  [Symbol.dispose](): void {
    this.end();
  }
}

const setpriv = '/usr/bin/setpriv';
const maySwitch = process.getuid?.() === 0 && existsSync(setpriv);

test.runIf(maySwitch)(
  '[L11] while a process that waymark may not signal stays, the lock is kept and that is told',
  async () => {
    using stuck = new UnkillableLock('/stuck');
    const pid = await stuck.leave();
    await stuck.holder.warns(`the lock on /stuck is kept until these processes are gone`);
    expect(stuck.holder.err).toContain(`could not be killed: ${pid}\n`);
    const refused = await runWaymark(url, ['lock', '/stuck', '--wait', '0s', '--', 'true']).done;
    expect(refused.code).toBe(errorTable.timeout.exit);
    stuck.end();
    expect((await stuck.holder.done).code).toBe(5);
    const next = await runWaymark(url, ['lock', '/stuck', '--wait', '0s', '--', 'true']).done;
    expect(next.code).toBe(0);
  },
);

test.runIf(maySwitch)(
  '[L11] nothing is waited for in vain once the lock is lost: what goes on without it is told',
  async () => {
    using stuck = new UnkillableLock('/stuck-lost');
    const pid = await stuck.leave();
    await stuck.holder.warns('is kept');
    const forced = ['unlock', '/stuck-lost', '--force', '--reason', 'test'];
    expect((await runWaymark(url, forced).done).code).toBe(0);
    await stuck.holder.warns(`go on without the lock on /stuck-lost: ${pid}\n`);
    // Its end, and not that of its output, which the process that stays has too.
    const [code] = (await once(stuck.holder.child, 'exit')) as [number];
    expect(code).toBe(errorTable.lost.exit);
  },
);

test.each([
  ['KILL', 'the lock on /gone', ['lock', '/gone']],
  ['STOP', 'the lock on /gone', ['lock', '/gone']],
  ['KILL', 'the membership of me in /gone', ['join', '/gone', '--id', 'me']],
])(
  '[cli] what no server takes back (%s, %s) leaves the exit code to its command, and is told',
  async (signal, title, call) => {
    const { command: other, url: gone } = await serve(['--engine', 'memory']);
    const script = `kill -${signal} ${other.child.pid}; exit 7`;
    const { code, err } = await runWaymark(gone, [...call, '--ttl', '4s', '--', 'sh', '-c', script])
      .done;
    await other.stop('SIGKILL');
    expect(code, err).toBe(7);
    expect(err).toMatch(new RegExp(`^waymark: ${title} ends with its lease: .*\n$`));
  },
);

test('[cli] bytes go in and out as they are', async () => {
  const { out } = await runWaymark(url, ['put', '/bytes', '-'], 'no line end').done;
  expect(out).toBe('');
  expect((await runWaymark(url, ['get', '/bytes', '--raw']).done).out).toBe('no line end');
  const wrong = await runWaymark(url, ['put', '/json', '{', '--as-json']).done;
  expect(wrong).toMatchObject({ code: errorTable.invalid.exit, out: '' });
});
