import { describe, expect, test } from 'vitest';
import type { Engine, LeaseId } from '../../core/engine.js';
import { FakeClock } from '../../testing/fake-clock.js';
import { SimulatedDisk } from '../../testing/simulated-disk.js';
import { createDataDirectory } from './create-directory.js';
import { type FileEngineOptions, openFileEngine } from './file-engine.js';
import { describeFact, type FileFact, inspectFiles } from './inspect.js';

const put = (engine: Engine, key: string, value = 'v', lease: LeaseId = 0) =>
  engine.commit({ apply: [{ type: 'put', key, value, lease }] });

function setUp(): {
  disk: SimulatedDisk;
  clock: FakeClock;
  open: (options?: FileEngineOptions) => Promise<Engine>;
} {
  const disk = new SimulatedDisk();
  const clock = new FakeClock();
  return {
    disk,
    clock,
    open: (options) => openFileEngine('simulated', { disk, clock, ...options }),
  };
}

describe('what is not on the disk', () => {
  test('[F1] is neither answered nor seen', async () => {
    const { disk, open } = setUp();
    const engine = await open();
    disk.powerOffAfter = disk.calls;
    let answered = false;
    void put(engine, 'k').then(() => (answered = true));
    void engine.grant(5_000).then(() => (answered = true));
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(false);
    expect((await engine.read({ key: 'k' })).entries).toEqual([]);
    expect((await engine.status()).revision).toBe(0);
    await expect(engine.read({ key: 'k', at: 1 })).rejects.toMatchObject({
      code: 'future_revision',
    });
  });

  test('[F1] holds back a commit that only failed its check against it', async () => {
    const { disk, open } = setUp();
    const engine = await open();
    disk.powerOffAfter = disk.calls;
    void put(engine, 'k');
    let answered = false;
    const check = { key: 'k', target: 'version', is: '=', to: 0 } as const;
    void engine.commit({ when: [check] }).then(() => (answered = true));
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(false);
  });

  test('[K11] an abort in the meantime is uncertain', async () => {
    const { disk, open } = setUp();
    const engine = await open();
    disk.powerOffAfter = disk.calls;
    const aborter = new AbortController();
    const commit = engine.commit(
      { apply: [{ type: 'put', key: 'k', value: 'v' }] },
      { signal: aborter.signal },
    );
    aborter.abort();
    await expect(commit).rejects.toMatchObject({ code: 'uncertain' });
    await expect(engine.commit({}, { signal: aborter.signal })).rejects.toBe(aborter.signal.reason);
  });
});

test('[F2] commits of one turn are one frame', async () => {
  const { disk, open } = setUp();
  const engine = await open();
  await Promise.all(Array.from({ length: 100 }, (_, i) => put(engine, `k/${i}`)));
  await engine[Symbol.asyncDispose]();
  const ends = (await factsOf(disk)).filter(
    (fact) => fact.type === 'end' && fact.file.startsWith('log'),
  );
  expect(ends).toMatchObject([{ frames: 2 }]);
});

describe('a restart', () => {
  test('[K10] keeps leases of any id, from the log and from a snapshot', async () => {
    const { open } = setUp();
    const ids: readonly LeaseId[] = [-1, 2 ** 53 - 1, '9007199254740993', '9223372036854775807'];
    let told: () => void = () => undefined;
    const taken = new Promise<void>((resolve) => (told = resolve));
    let engine = await open();
    for (const id of ids) {
      await engine.grant(5_000, { id });
      await put(engine, `k${id}`, 'v', id);
    }
    await engine.grant(5_000, { id: '9223372036854775806' });
    await engine.revoke('9223372036854775806');
    for (const restart of ['from the log', 'from a snapshot']) {
      if (restart === 'from a snapshot') {
        await put(engine, 'filler', 'x'.repeat(30_000));
        await put(engine, 'filler', 'x'.repeat(30_000));
        await taken;
      }
      await engine[Symbol.asyncDispose]();
      engine = await open({ snapshotLogBytes: 20_000, told });
      expect(new Set(await engine.leases())).toEqual(new Set(ids));
      for (const id of ids) {
        const state = { id, ttlMs: 5_000, remainingMs: 5_000, keys: [`k${id}`] };
        expect(await engine.lease(id)).toEqual(state);
        expect((await engine.read({ key: `k${id}` })).entries[0]?.lease).toBe(id);
      }
    }
    await engine[Symbol.asyncDispose]();
  });

  test('[F3] keeps entries, history, leases, compaction and the identity', async () => {
    const { open } = setUp();
    const first = await open();
    const lease = await first.grant(5_000);
    const gone = await first.grant(5_000);
    await put(first, 'a', '1');
    await put(first, 'a', '2');
    await put(first, 'held', 'v', lease.id);
    await put(first, 'ends', 'v', gone.id);
    await first.revoke(gone.id);
    await first.compact(1);
    const before = { all: await first.read({ key: '', end: '' }), status: await first.status() };
    await first[Symbol.asyncDispose]();
    const second = await open();
    expect({ all: await second.read({ key: '', end: '' }), status: await second.status() }).toEqual(
      before,
    );
    expect((await second.read({ key: 'a', at: 1 })).entries).toMatchObject([{ value: '1' }]);
    expect(await second.leases()).toEqual([lease.id]);
    expect(await second.lease(lease.id)).toEqual({ ...lease, remainingMs: 5_000, keys: ['held'] });
    await second[Symbol.asyncDispose]();
  });

  test('[K10] gives a lease its whole TTL again', async () => {
    const { clock, open } = setUp();
    const first = await open();
    const { id } = await first.grant(10_000);
    await put(first, 'held', 'v', id);
    clock.advance(9_000);
    await first[Symbol.asyncDispose]();
    const second = await open();
    clock.advance(9_900);
    expect(await second.lease(id)).not.toBeNull();
    clock.advance(300);
    expect(await second.lease(id)).toBeNull();
    await put(second, 'after');
    await second[Symbol.asyncDispose]();
    const third = await open();
    expect(await third.leases()).toEqual([]);
    expect((await third.read({ key: 'held' })).entries).toEqual([]);
    await third[Symbol.asyncDispose]();
  });
});

test('a snapshot cuts the log, and holds leases that were granted and ended around it', async () => {
  const { disk, clock, open } = setUp();
  let told: (line: string) => void = () => undefined;
  const taken = new Promise<string>((resolve) => (told = resolve));
  const engine = await open({ snapshotLogBytes: 50_000, told });
  const { id } = await engine.grant(100_000);
  for (let round = 0; round < 10; round++) {
    await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        put(engine, `k/${i}`, `${round} ${'x'.repeat(100)}`, id),
      ),
    );
  }
  expect(await taken).toContain('snapshot-0000000002');
  const before = await engine.read({ key: '', end: '' });
  await engine[Symbol.asyncDispose]();
  const names = await disk.list();
  expect(names.sort()[0]).toBe('closed');
  expect(names).not.toContain('log-0000000001');
  const reopened = await openFileEngine('simulated', { disk, clock });
  expect(await reopened.read({ key: '', end: '' })).toEqual(before);
  expect(await reopened.leases()).toEqual([id]);
  await reopened[Symbol.asyncDispose]();
});

describe('history that is needed', () => {
  const live = (engine: Engine) => engine.read({ key: '', end: '' });

  /** Everything after `after`, with what was before. */
  async function changesAfter(engine: Engine, after: number) {
    const { revision } = await engine.status();
    const changes = [];
    for await (const batch of engine.watch([{ key: '', end: '' }], { after, previous: true })) {
      changes.push(...batch.changes);
      if (batch.revision >= revision) return changes;
    }
    throw new Error('the watch ended');
  }

  test('[F9] goes over a restart, whatever ended in it, and is written no longer than it is needed', async () => {
    const { disk, open } = setUp();
    let needed: number | null = 3;
    const told: string[] = [];
    const options = {
      history: { revisions: 1, bytes: 1, needed: () => needed },
      snapshotLogBytes: 20_000,
      told: (line: string) => void told.push(line),
    };
    const first = await open(options);
    const ends = await first.grant(5_000);
    const stays = await first.grant(5_000);
    await put(first, 'before', '1', ends.id);
    await put(first, 'stays', '1', stays.id);
    await put(first, 'deleted', '1');
    await put(first, 'within', '1', ends.id);
    await first.commit({ apply: [{ type: 'delete', key: 'deleted' }] });
    await first.revoke(ends.id);
    for (let n = 0; n < 300; n++) await put(first, `k/${n % 7}`, `${n} ${'x'.repeat(100)}`);
    await turnsUntil(() => told.some((line) => line.startsWith('snapshot-')));
    const before = { state: await live(first), changes: await changesAfter(first, 3) };
    expect(before.changes).toHaveLength(304);
    await first[Symbol.asyncDispose]();
    expect(await disk.list()).not.toContain('log-0000000001');

    const second = await open(options);
    expect((await second.status()).compacted).toBe(3);
    expect(await live(second)).toEqual(before.state);
    expect(await changesAfter(second, 3)).toEqual(before.changes);
    expect(await second.leases()).toEqual([stays.id]);
    expect((await second.lease(stays.id))?.keys).toEqual(['stays']);
    expect((await second.read({ key: 'before', at: 4 })).entries).toMatchObject([{ value: '1' }]);
    needed = null;
    told.length = 0;
    for (let n = 0; n < 300; n++) await put(second, 'k', 'x'.repeat(100));
    await turnsUntil(() => told.some((line) => line.startsWith('snapshot-')));
    await second[Symbol.asyncDispose]();

    const facts = await factsOf(disk);
    const snapshots = facts.filter((fact) => fact.file.startsWith('snapshot-'));
    expect(snapshots[0]).toMatchObject({ type: 'file', format: 1 });
    expect(snapshots.some((fact) => fact.type === 'record' && fact.record.type === 'commit')).toBe(
      false,
    );
  });
});

async function turnsUntil(fact: () => boolean): Promise<void> {
  while (!fact()) await new Promise((resolve) => setImmediate(resolve));
}

test('[F4] a log that ends before the next one began is refused, and so is one of another engine', async () => {
  const { disk, open } = setUp();
  // Without its snapshot the first log stays, and a second one follows it.
  disk.fault = (call, name) => (call === 'rename' && name.startsWith('snapshot') ? 'EIO' : null);
  let told: (line: string) => void = () => undefined;
  const failed = new Promise<string>((resolve) => (told = resolve));
  const engine = await open({ snapshotLogBytes: 5_000, told });
  for (let i = 0; i < 60; i++) await put(engine, `k/${i}`, 'x'.repeat(100));
  expect(await failed).toContain('no snapshot');
  await engine[Symbol.asyncDispose]();
  disk.fault = () => null;
  const facts = await factsOf(disk);
  const ofFirst = facts.filter((fact) => fact.type === 'record' && fact.file === 'log-0000000001');
  const last = ofFirst.at(-1) as FileFact & { readonly type: 'record' };
  expect(facts).toContainEqual(expect.objectContaining({ type: 'end', file: 'log-0000000002' }));
  const log = await disk.open('log-0000000001', 'lazy');
  const whole = await log.read(0, log.size);
  await log.truncate(last.offset);
  await expect(open()).rejects.toMatchObject({
    code: 'corrupt',
    facts: { file: 'log-0000000002', offset: 32 },
  });

  const other = setUp();
  await (await other.open())[Symbol.asyncDispose]();
  const strange = await other.disk.open('log-0000000001', 'read');
  await log.truncate(0);
  await log.write(await strange.read(0, strange.size), 0);
  await expect(open()).rejects.toMatchObject({ code: 'corrupt' });

  await log.truncate(0);
  await log.write(whole, 0);
  await (await open())[Symbol.asyncDispose]();
});

describe('a directory made from a backup', () => {
  const entry = { key: 'a', value: '1', createRevision: 3, modRevision: 5, version: 2 };

  test('[G28] opens at the revision given, and goes on above it', async () => {
    const { disk, open } = setUp();
    const far = '9223372036854775807';
    const leases = [9, far].map((id) => ({ id: id as LeaseId, ttlMs: 5_000 }));
    const b = { ...entry, key: 'b', lease: 9 };
    const c = { ...entry, key: 'c', lease: far } as const;
    const entries = [entry, b, c];
    await createDataDirectory('simulated', { entries, leases, revision: 1_000, epoch: 2, disk });
    const engine = await open();
    const { revision, entries: found } = await engine.read({ key: '', end: '' });
    expect(revision).toBe(1_000);
    expect(found).toEqual([{ ...entry, lease: 0 }, b, c]);
    expect((await put(engine, 'a')).revision).toBe(1_001);
    expect((await engine.lease(9))?.keys).toEqual(['b']);
    expect((await engine.lease(far))?.keys).toEqual(['c']);
    await expect(engine.read({ key: 'a', at: 5 })).rejects.toMatchObject({ code: 'compacted' });
    await engine[Symbol.asyncDispose]();
  });

  test('refuses a directory that holds something, an entry above the revision, and a lease that is not given', async () => {
    const { disk } = setUp();
    const create = (content: object) =>
      createDataDirectory('simulated', { entries: [entry], revision: 9, disk, ...content });
    await expect(create({ revision: 4 })).rejects.toMatchObject({ code: 'invalid' });
    await expect(create({ entries: [{ ...entry, lease: 1 }] })).rejects.toMatchObject({
      code: 'invalid',
    });
    await expect(create({ revision: -1 })).rejects.toMatchObject({ code: 'invalid' });
    expect(await disk.list()).toEqual([]);
    await create({});
    await expect(create({})).rejects.toMatchObject({ code: 'conflict' });
  });
});

async function factsOf(disk: SimulatedDisk): Promise<FileFact[]> {
  const facts: FileFact[] = [];
  for await (const fact of inspectFiles('simulated', disk)) facts.push(fact);
  return facts;
}

test('inspecting tells every record, and its damage, and goes on with the next file', async () => {
  const { disk, open } = setUp();
  const engine = await open();
  await put(engine, 'a', 'x'.repeat(100));
  await engine.commit({ apply: [{ type: 'delete', key: 'a' }] });
  await engine[Symbol.asyncDispose]();
  const lines = (await factsOf(disk)).map(describeFact);
  expect(lines).toEqual([
    'log-0000000001: log, format 1',
    expect.stringMatching(/^log-0000000001 {9}32 {2}begins after revision 0, engine .+, epoch 1$/),
    expect.stringMatching(/revision 1: put "a" = "x{60}…"$/),
    expect.stringMatching(/revision 2: delete "a"$/),
    expect.stringMatching(/end after 3 frames$/),
    'closed: mark, format 1',
    expect.stringMatching(/log 1 reached \d+ at the last clean close$/),
    expect.stringMatching(/end after 1 frames$/),
  ]);

  const log = await disk.open('log-0000000001', 'lazy');
  await log.write(Buffer.from('?'), 60);
  const facts = await factsOf(disk);
  expect(facts.find(({ type }) => type === 'damage')).toMatchObject({
    file: 'log-0000000001',
    facts: { offset: 32 },
  });
  expect(facts.at(-1)).toMatchObject({ file: 'closed', type: 'end' });
});
