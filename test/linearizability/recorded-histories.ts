import { readFileSync } from 'node:fs';
import type { Call, RegisterInput, RegisterOutput, TextInput, TextOutput } from 'waymark/testing';

/** Readers of the labelled histories in `histories/`; its README tells the formats. */

const folder = new URL('./histories/', import.meta.url);

/** File name to whether it is linearizable. */
export function verdicts(): ReadonlyMap<string, boolean> {
  return new Map(Object.entries(JSON.parse(read('verdicts.json')) as Record<string, boolean>));
}

export function readRegisterHistory(file: string): Call<RegisterInput, RegisterOutput>[] {
  const events = read(file).matchAll(/jepsen\.util - (\d+)\t:(\w+)\t:(\w+)\t(.*)$/gm);
  return pair(
    [...events].map(([, client, type, op, value]) => ({
      client: Number(client),
      type: type ?? '',
      data: { op: op ?? '', value: value ?? '' },
    })),
    ({ op, value }) => {
      if (op === 'write') return { op, value: Number(value) };
      const [, from, to] = /\[(\d+) (\d+)\]/.exec(value) ?? [];
      return op === 'cas' ? { op, from: Number(from), to: Number(to) } : { op: 'read' };
    },
    (input, type, { value }) => {
      if (input.op === 'cas') return { swapped: type === 'ok' };
      if (input.op === 'write') return {};
      return { value: value === 'nil' ? null : Number(value) };
    },
    // A failed read tells nothing; a failed cas tells that the value differed.
    (input) => input.op === 'cas',
  );
}

export function readTextHistory(file: string): Call<TextInput, TextOutput>[] {
  const line = /:process (\d+), :type :(\w+), :f :(\w+), :key "([^"]*)", :value (?:nil|"([^"]*)")/g;
  return pair(
    [...read(file).matchAll(line)].map(([, client, type, op, key, value]) => ({
      client: Number(client),
      type: type ?? '',
      data: { op: op as TextInput['op'], key: key ?? '', value: value ?? '' },
    })),
    (data) => data,
    (_, __, { value }) => value,
    () => false,
  );
}

function read(file: string): string {
  return readFileSync(new URL(file, folder), 'utf8');
}

interface Line<D> {
  readonly client: number;
  readonly type: string;
  readonly data: D;
}

/** Joins each invocation with its answer; the line number is the time. */
function pair<D, I extends { op: string }, O>(
  lines: readonly Line<D>[],
  input: (data: D) => I,
  output: (input: I, type: string, data: D) => O,
  failureTells: (input: I) => boolean,
): Call<I, O>[] {
  const open = new Map<number, number>();
  const calls: (Call<I, O> | null)[] = [];
  lines.forEach(({ client, type, data }, time) => {
    const at = open.get(client);
    if (type === 'invoke') {
      open.set(client, calls.length);
      calls.push({ client, call: time, ret: Infinity, input: input(data), output: undefined });
      return;
    }
    const call = at === undefined ? null : (calls[at] ?? null);
    if (at === undefined || call === null) return;
    open.delete(client);
    const answered = type === 'ok' || (type === 'fail' && failureTells(call.input));
    if (answered) calls[at] = { ...call, ret: time, output: output(call.input, type, data) };
    else if (type === 'fail') calls[at] = null;
  });
  const reads = new Set(['read', 'get']);
  return calls.filter(
    (call) => call !== null && !(call.ret === Infinity && reads.has(call.input.op)),
  ) as Call<I, O>[];
}
