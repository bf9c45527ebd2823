import { expect, test } from 'vitest';
import { frameHeaderBytes } from './frames.js';
import { type FileRecord, readRecords, RecordWriter } from './records.js';

const entry = {
  key: 'k\x00\xff',
  value: '\x80',
  createRevision: 2 ** 53 - 2,
  modRevision: 2 ** 53 - 1,
  version: 7,
  lease: 0,
};
const all: readonly FileRecord[] = [
  { type: 'begin', revision: 0, identity: 'one', epoch: 3, previousEnd: 2 ** 40 },
  {
    type: 'commit',
    revision: 300,
    changes: [
      { kind: 'put', entry: { ...entry, value: 'x'.repeat(200_000) } },
      {
        kind: 'delete',
        entry: { key: 'd', value: '', createRevision: 0, modRevision: 300, version: 0, lease: 0 },
      },
      {
        kind: 'expire',
        entry: { key: '', value: '', createRevision: 0, modRevision: 300, version: 0, lease: 0 },
      },
    ],
  },
  { type: 'grant', id: 2 ** 53 - 1, ttlMs: 31_536_000_000 },
  { type: 'end', id: 127 },
  { type: 'grant', id: -1, ttlMs: 1_000 },
  { type: 'grant', id: '9223372036854775807', ttlMs: 1_000 },
  { type: 'end', id: '-9223372036854775808' },
  { type: 'compact', through: 128 },
  { type: 'entry', entry },
  { type: 'entry', entry: { ...entry, lease: '9007199254740993' } },
  { type: 'entry', entry: { ...entry, lease: 2 ** 49 } },
  { type: 'finish', entries: 16_384 },
  { type: 'mark', number: 2, end: 99 },
];

const payloadOf = (records: readonly FileRecord[]): Buffer => {
  const writer = new RecordWriter();
  for (const record of records) writer.write(record);
  return writer.take().subarray(frameHeaderBytes);
};

test('records come back as they were written, of every type and at the ends of their ranges', () => {
  expect(readRecords(payloadOf(all))).toEqual(all);
});

test('a payload cut anywhere is refused, or holds the records before the cut', () => {
  const whole = payloadOf(all.slice(2));
  for (let length = 0; length < whole.length; length++) {
    let records: FileRecord[] | null = null;
    try {
      records = readRecords(whole.subarray(0, length));
    } catch (error) {
      expect(error).toMatchObject({ code: 'corrupt' });
    }
    if (records !== null) expect(records).toEqual(all.slice(2, 2 + records.length));
  }
});

test('a buffer that is given back is used again, and never while its frame is in use', () => {
  const writer = new RecordWriter();
  writer.write({ type: 'end', id: 1 });
  const first = writer.take();
  writer.write({ type: 'end', id: 2 });
  expect(readRecords(first.subarray(frameHeaderBytes))).toEqual([{ type: 'end', id: 1 }]);
  writer.giveBack(first);
  writer.take();
  writer.write({ type: 'end', id: 3 });
  expect(writer.take().buffer).toBe(first.buffer);
});
