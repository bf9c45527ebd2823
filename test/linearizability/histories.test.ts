import { expect, test } from 'vitest';
import { checkLinearizable, registerModel, textModel } from 'waymark/testing';
import { readRegisterHistory, readTextHistory, verdicts } from './recorded-histories.js';

/** Each unknown call doubles the orders to try: with many of them the few hard searches would take half a minute. */
const unknownMax = 16;
const stepsMax = 3_000_000;

function judge(file: string): string {
  const verdict = file.startsWith('jepsen/')
    ? checkLinearizable(registerModel, readRegisterHistory(file))
    : checkLinearizable(textModel, readTextHistory(file));
  return verdict.result;
}

test('[checker] all 108 labelled histories are answered right, in under 10 s together', () => {
  const started = performance.now();
  const known = [...verdicts()];
  const wrong = known.filter(([file, good]) => judge(file) !== (good ? 'ok' : 'violation'));
  const tookMs = performance.now() - started;
  console.log(
    `labelled histories: ${known.length}, wrong ${wrong.length}, ${tookMs.toFixed(0)} ms`,
  );
  expect(known).toHaveLength(108);
  expect(wrong).toEqual([]);
  expect(tookMs).toBeLessThan(10_000);
});

test('[checker] control: one read value changed in 100 good histories is found in at least 95', () => {
  const good = [...verdicts()].filter(([file, good]) => good && suits(file)).map(([file]) => file);
  let found = 0;
  for (let round = 0; round < 100; round++) {
    found += Number(changedRead(good[round % good.length] ?? '', round * 7) === 'violation');
  }
  console.log(`changed reads found: ${found} of 100`);
  expect(found).toBeGreaterThanOrEqual(95);
});

function suits(file: string): boolean {
  if (file.startsWith('kv/')) return true;
  const history = readRegisterHistory(file);
  const unknown = history.filter((call) => call.ret === Infinity).length;
  return unknown <= unknownMax && history.some((call) => call.input.op === 'read');
}

/** Flips a bit of what one read saw, which no one wrote: among five values, another one is often right too. */
function changedRead(file: string, seed: number): string {
  if (file.startsWith('kv/')) {
    const history = readTextHistory(file);
    const reads = history.filter((call) => call.input.op === 'get' && call.output !== undefined);
    const victim = reads[seed % reads.length];
    const other = `${victim?.output}!`;
    return checkLinearizable(
      textModel,
      history.map((call) => (call === victim ? { ...call, output: other } : call)),
      { stepsMax },
    ).result;
  }
  const history = readRegisterHistory(file);
  const reads = history.filter((call) => call.input.op === 'read');
  const victim = reads[seed % reads.length];
  const other = { value: (victim?.output?.value ?? 0) ^ 64 };
  return checkLinearizable(
    registerModel,
    history.map((call) => (call === victim ? { ...call, output: other } : call)),
    { stepsMax },
  ).result;
}

test('[checker] a violation tells the longest good prefix and the call that fits nowhere', () => {
  const call = (time: number, input: 'read' | number, value?: number) => ({
    client: 0,
    call: time,
    ret: time + 1,
    input: input === 'read' ? ({ op: 'read' } as const) : ({ op: 'write', value: input } as const),
    output: value === undefined ? {} : { value },
  });
  const verdict = checkLinearizable(registerModel, [
    call(1, 1),
    call(3, 'read', 1),
    call(5, 'read', 2),
  ]);
  expect(verdict.result).toBe('violation');
  expect(verdict.prefix?.map((one) => one.call)).toEqual([1, 3]);
  expect(verdict.stuck?.call).toBe(5);
});
