import type { CallOptions } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { type RecipeCall, type RecipeGround, recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import type {
  DeadLetterCall,
  DeadLetterPage,
  ProcessorInfo,
  SecretsKeys,
  SharingMode,
  TestResult,
  WatcherAdded,
  WatcherChange,
  WatcherDesk,
  WatcherEvent,
  WatcherInfo,
  WatcherListCall,
  WatcherPage,
  WatcherWish,
} from '../core/watchers.js';

/**
 * The registry of watches, asked where watches are delivered (rules W1 to W6 in docs/spec/watchers.md). What is asked goes as JSON: the registry looks at all of it
 * itself, for callers of every kind.
 */

type Ask<A, R> = RecipeCall<{ readonly ask: string }, R> & { readonly '~asked'?: A };
type Own<C> = Omit<C, 'signal'>;
type Answer<A, R> = (desk: WatcherDesk, asked: A, options: CallOptions) => Promise<R>;
type Definition = Pick<
  RecipeCall<unknown, unknown>,
  'name' | 'verb' | 'whenBroken' | 'waits' | 'endsWithCaller'
>;

/** What one watcher is asked for. */
interface Of {
  readonly id: string;
}

export const add = asking<WatcherWish, WatcherAdded>(
  { name: 'watchers.add', verb: 0xb4, whenBroken: 'retry' },
  (desk, wish, options) => desk.add(wish, options),
);

export const get = asking<Of, WatcherInfo | null>(
  { name: 'watchers.get', verb: 0xb5, whenBroken: 'retry' },
  (desk, { id }, options) => desk.get(id, options),
);

export const list = asking<Own<WatcherListCall>, WatcherPage>(
  { name: 'watchers.list', verb: 0xb6, whenBroken: 'retry' },
  (desk, call, options) => desk.list({ ...call, ...options }),
);

export const change = asking<Of & { readonly change: WatcherChange }, WatcherInfo>(
  { name: 'watchers.change', verb: 0xb7, whenBroken: 'retry' },
  (desk, { id, change: to }, options) => desk.change(id, to, options),
);

export const remove = asking<Of, boolean>(
  { name: 'watchers.remove', verb: 0xb8, whenBroken: 'uncertain' },
  (desk, { id }, options) => desk.remove(id, options),
);

export const removeLabelled = asking<{ readonly label: string }, number>(
  { name: 'watchers.remove-labelled', verb: 0xb9, whenBroken: 'uncertain' },
  (desk, { label }, options) => desk.removeLabelled(label, options),
);

export const pause = asking<Of, WatcherInfo>(
  { name: 'watchers.pause', verb: 0xba, whenBroken: 'retry' },
  (desk, { id }, options) => desk.pause(id, options),
);

export const resume = asking<Of, WatcherInfo>(
  { name: 'watchers.resume', verb: 0xbb, whenBroken: 'retry' },
  (desk, { id }, options) => desk.resume(id, options),
);

export const replay = asking<Of & { readonly after: 'beginning' | number }, WatcherInfo>(
  { name: 'watchers.replay', verb: 0xbc, whenBroken: 'uncertain' },
  (desk, { id, after }, options) => desk.replay(id, { after, ...options }),
);

export const test = asking<Of, TestResult>(
  {
    name: 'watchers.test',
    verb: 0xbd,
    whenBroken: 'uncertain',
    waits: true,
    endsWithCaller: true,
  },
  (desk, { id }, options) => desk.test(id, options),
);

export const deadLetters = asking<Of & Own<DeadLetterCall>, DeadLetterPage>(
  { name: 'watchers.dead-letters', verb: 0xbe, whenBroken: 'retry' },
  (desk, { id, ...call }, options) => desk.deadLetters(id, { ...call, ...options }),
);

export const replayDeadLetters = asking<Of, number>(
  { name: 'watchers.replay-dead-letters', verb: 0xbf, whenBroken: 'retry' },
  (desk, { id }, options) => desk.replayDeadLetters(id, options),
);

export const dropDeadLetters = asking<Of, number>(
  { name: 'watchers.drop-dead-letters', verb: 0xc0, whenBroken: 'uncertain' },
  (desk, { id }, options) => desk.dropDeadLetters(id, options),
);

export const eventsAfter = asking<
  { readonly after?: string | undefined; readonly limit: number; readonly waitMs: number },
  { readonly events: readonly WatcherEvent[]; readonly after: string }
>(
  {
    name: 'watchers.events',
    verb: 0xc1,
    whenBroken: 'retry',
    waits: true,
    endsWithCaller: true,
  },
  (desk, call, options) => desk.eventsAfter({ ...call, ...options }),
);

export const processors = asking<object, readonly ProcessorInfo[]>(
  { name: 'watchers.processors', verb: 0xc2, whenBroken: 'retry' },
  (desk, _asked, options) => desk.processors(options),
);

export const mode = asking<object, SharingMode>(
  { name: 'watchers.mode', verb: 0xc3, whenBroken: 'retry' },
  (desk, _asked, options) => desk.mode(options),
);

export const setMode = asking<{ readonly mode: SharingMode }, null>(
  { name: 'watchers.set-mode', verb: 0xc4, whenBroken: 'retry' },
  async (desk, { mode: to }, options) => {
    await desk.setMode(to, options);
    return null;
  },
);

export const secretsKeys = asking<object, SecretsKeys>(
  { name: 'watchers.secrets-keys', verb: 0xc5, whenBroken: 'retry' },
  (desk, _asked, options) => desk.secretsKeys(options),
);

export const reseal = asking<object, number>(
  { name: 'watchers.reseal', verb: 0xc6, whenBroken: 'retry' },
  (desk, _asked, options) => desk.reseal(options),
);

export const watcherCalls = [
  ...[add, get, list, change, remove, removeLabelled, pause, resume, replay, test],
  ...[deadLetters, replayDeadLetters, dropDeadLetters, eventsAfter, processors, mode, setMode],
  ...[secretsKeys, reseal],
] as const;

/** As JSON, which has no NaN: a lifetime that is none would become one without end. @throws {WaymarkError} `invalid` */
export function encodeAsked(asked: unknown): string {
  return JSON.stringify(asked, (name, value: unknown) => {
    const wrong =
      typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value));
    if (!wrong) return value;
    throw new WaymarkError('invalid', `${name} is no number that can be told: ${String(value)}`);
  });
}

function asking<A, R>(definition: Definition, answer: Answer<A, R>): Ask<A, R> {
  return recipeCall({
    ...definition,
    args: shape.record({ ask: shape.text }),
    result: shape.json<R>(),
    run: async (ground: RecipeGround, { ask }: { readonly ask: string }, { signal } = {}) =>
      await answer(deskOf(ground), decodeAsked<A>(ask), { signal }),
  });
}

function decodeAsked<A>(ask: string): A {
  let asked: unknown;
  try {
    asked = JSON.parse(ask);
  } catch (cause) {
    throw new WaymarkError('invalid', 'what is asked of watchers is JSON', {}, cause);
  }
  if (typeof asked === 'object' && asked !== null) return asked as A;
  throw new WaymarkError('invalid', 'what is asked of watchers is an object');
}

function deskOf({ watchers }: RecipeGround): WatcherDesk {
  if (watchers !== undefined) return watchers;
  const text =
    'registered watches are delivered by servers: open one that runs without --no-watchers';
  throw new WaymarkError('unavailable', text);
}
