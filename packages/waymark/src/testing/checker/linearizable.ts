/**
 * Is a history of calls and answers linearizable? The search of Wing and Gong (1993): place calls one by one, in an order that real
 * time allows, such that a sequential model gives the recorded answers. With Lowe's memo of seen (placed calls, state) pairs (2017) and
 * the partition by key of Horn and Kroening (2015), for linearizability is compositional. Budgets are iterative over the
 * partitions: without that, one hard good key hides an easy bad one.
 */

/** One call of a client. Times come from one clock or counter. */
export interface Call<I, O> {
  readonly client: number;
  readonly call: number;
  /** `Infinity` when the outcome is unknown: it may take effect at any later time, or never. */
  readonly ret: number;
  readonly input: I;
  /** Undefined when the outcome is unknown. */
  readonly output: O | undefined;
}

export interface Model<S, I, O> {
  readonly name: string;
  readonly initial: S;
  /** The state after the call, or undefined when the model cannot answer so. An undefined output fits any answer. */
  readonly step: (state: S, input: I, output: O | undefined) => S | undefined;
  /** Equal states have equal fingerprints. */
  readonly fingerprint: (state: S) => string;
  /** Calls of different partitions do not affect each other. Default: all in one. */
  readonly partition?: ((input: I) => string) | undefined;
}

export interface Verdict<I, O> {
  readonly result: 'ok' | 'violation' | 'unknown';
  /** Steps of the search in all. */
  readonly steps: number;
  /** Of a violation, or the first that was given up. */
  readonly partition?: string;
  /** For a violation: the longest linearizable prefix of its partition in order, and the call that fits nowhere after it. */
  readonly prefix?: readonly Call<I, O>[];
  readonly stuck?: Call<I, O>;
}

export interface CheckOptions {
  /** Steps per partition before the answer is `unknown`. Default 20 000 000. */
  readonly stepsMax?: number | undefined;
}

const firstBudget = 20_000;

export function checkLinearizable<S, I, O>(
  model: Model<S, I, O>,
  history: readonly Call<I, O>[],
  options: CheckOptions = {},
): Verdict<I, O> {
  const { stepsMax = 20_000_000 } = options;
  let open = [...partitions(model, history)];
  let steps = 0;
  for (let budget = firstBudget; open.length > 0; budget = Math.min(budget * 10, stepsMax)) {
    const hard: typeof open = [];
    for (const [partition, calls] of open) {
      const found = search(model, calls, budget);
      steps += found.steps;
      if (found.result === 'violation') return { ...found, steps, partition };
      if (found.result === 'unknown') hard.push([partition, calls]);
    }
    open = hard;
    if (budget === stepsMax) break;
  }
  const [given] = open;
  return given === undefined
    ? { result: 'ok', steps }
    : { result: 'unknown', steps, partition: given[0] };
}

function partitions<S, I, O>(
  model: Model<S, I, O>,
  history: readonly Call<I, O>[],
): Map<string, Call<I, O>[]> {
  const found = new Map<string, Call<I, O>[]>();
  for (const call of history) {
    const name = model.partition?.(call.input) ?? '';
    const calls = found.get(name);
    if (calls === undefined) found.set(name, [call]);
    else calls.push(call);
  }
  return found;
}

/** The calls and returns not yet placed, in time order: a doubly linked list over arrays. Slot 0 is the head, -1 the end. */
interface Timeline {
  readonly next: Int32Array;
  readonly prev: Int32Array;
  /** The call an event belongs to, by index. */
  readonly owner: Int32Array;
  readonly callAt: Int32Array;
  /** 0 where the outcome is unknown: such a call has no return. */
  readonly retAt: Int32Array;
}

function timeline<I, O>(calls: readonly Call<I, O>[]): Timeline {
  const events: { time: number; ret: boolean; owner: number }[] = [];
  calls.forEach((call, owner) => {
    events.push({ time: call.call, ret: false, owner });
    if (call.ret !== Infinity) events.push({ time: call.ret, ret: true, owner });
  });
  // On a tie calls come first: that allows more orders, so it never accuses wrongly.
  events.sort((a, b) => a.time - b.time || Number(a.ret) - Number(b.ret));
  const size = events.length + 1;
  const line: Timeline = {
    next: Int32Array.from({ length: size }, (_, at) => (at + 1 < size ? at + 1 : -1)),
    prev: Int32Array.from({ length: size }, (_, at) => at - 1),
    owner: new Int32Array(size),
    callAt: new Int32Array(calls.length),
    retAt: new Int32Array(calls.length),
  };
  events.forEach((event, index) => {
    line.owner[index + 1] = event.owner;
    (event.ret ? line.retAt : line.callAt)[event.owner] = index + 1;
  });
  return line;
}

function search<S, I, O>(
  model: Model<S, I, O>,
  calls: readonly Call<I, O>[],
  budget: number,
): Verdict<I, O> {
  const line = timeline(calls);
  const { next, owner, callAt, retAt } = line;
  const placed = new PlacedSet(calls.length);
  const seen = new Set<string>();
  const stack: { readonly index: number; readonly state: S }[] = [];
  let state = model.initial;
  let left = calls.filter((call) => call.ret !== Infinity).length;
  let longest: number[] = [];
  let stuck = calls[0];
  let at = next[0] as number;
  let steps = 0;
  while (left > 0) {
    if (++steps > budget) return { result: 'unknown', steps };
    const index = at === -1 ? -1 : (owner[at] as number);
    if (at !== -1 && callAt[index] === at) {
      const { input, output } = calls[index] as Call<I, O>;
      const after = model.step(state, input, output);
      if (after !== undefined && place(index, after, output === undefined)) {
        at = next[0] as number;
        continue;
      }
      at = next[at] as number;
      continue;
    }
    if (stack.length > longest.length || stuck === undefined) {
      longest = stack.map((one) => one.index);
      stuck = calls[index];
    }
    const last = stack.pop();
    if (last === undefined) {
      const prefix = longest.map((one) => calls[one] as Call<I, O>);
      return { result: 'violation', steps, prefix, ...(stuck === undefined ? {} : { stuck }) };
    }
    state = last.state;
    placed.remove(last.index);
    restore(line, last.index);
    if (retAt[last.index] !== 0) left++;
    at = next[callAt[last.index] as number] as number;
  }
  return { result: 'ok', steps };

  /** An unknown call that changes nothing is the same as one that never ran: it stays out. */
  function place(index: number, after: S, unknown: boolean): boolean {
    const print = model.fingerprint(after);
    if (unknown && print === model.fingerprint(state)) return false;
    placed.add(index);
    const memo = `${placed.key()}|${print}`;
    if (seen.has(memo)) {
      placed.remove(index);
      return false;
    }
    seen.add(memo);
    stack.push({ index, state });
    state = after;
    lift(line, index);
    if (retAt[index] !== 0) left--;
    return true;
  }
}

function lift({ next, prev, callAt, retAt }: Timeline, index: number): void {
  for (const at of [callAt[index] as number, retAt[index] as number]) {
    if (at === 0) continue;
    const [before, after] = [prev[at] as number, next[at] as number];
    next[before] = after;
    if (after !== -1) prev[after] = before;
  }
}

/** The reverse of `lift`, in reverse order, as both events may be neighbours. */
function restore({ next, prev, callAt, retAt }: Timeline, index: number): void {
  for (const at of [retAt[index] as number, callAt[index] as number]) {
    if (at === 0) continue;
    const [before, after] = [prev[at] as number, next[at] as number];
    next[before] = at;
    if (after !== -1) prev[after] = at;
  }
}

/** A set of indexes whose key is exact and short: calls are placed nearly in order, so only the ragged end is spelled out. */
class PlacedSet {
  readonly #words: Uint16Array;
  #high = -1;

  constructor(size: number) {
    this.#words = new Uint16Array((size >> 4) + 1);
  }

  add(index: number): void {
    const word = index >> 4;
    this.#words[word] = (this.#words[word] as number) | (1 << (index & 15));
    if (word > this.#high) this.#high = word;
  }

  remove(index: number): void {
    const word = index >> 4;
    this.#words[word] = (this.#words[word] as number) & ~(1 << (index & 15));
    while (this.#high >= 0 && this.#words[this.#high] === 0) this.#high--;
  }

  key(): string {
    let low = 0;
    while (low < this.#high && this.#words[low] === 0xffff) low++;
    return low + String.fromCharCode(...this.#words.subarray(low, this.#high + 1));
  }
}
