import type { RecipeCall } from '../core/recipe-call.js';
import type { Method } from './method.js';
import { readShaped, writeShaped } from './shape-codec.js';

/** A recipe's call as it goes over the wire. */
export interface RecipeArgs<Args> {
  readonly namespace: string;
  readonly args: Args;
}

const methods = new WeakMap<object, Method<unknown, unknown>>();

/** The method of a call, made once. */
export function recipeMethod<Args, Result>(
  call: RecipeCall<Args, Result>,
): Method<RecipeArgs<Args>, Result> {
  const known = methods.get(call) ?? make(call as RecipeCall<unknown, unknown>);
  methods.set(call, known);
  return known as Method<RecipeArgs<Args>, Result>;
}

function make({
  verb,
  name,
  whenBroken,
  ...call
}: RecipeCall<unknown, unknown>): Method<unknown, unknown> {
  return {
    verb,
    name,
    whenBroken,
    writeArgs(w, told) {
      const { namespace, args } = told as RecipeArgs<unknown>;
      w.name(namespace);
      writeShaped(w, call.args, args);
    },
    readArgs(r) {
      const namespace = r.name();
      return { namespace, args: readShaped(r, call.args) };
    },
    writeResult: (w, result) => writeShaped(w, call.result, result),
    readResult: (r) => readShaped(r, call.result),
  };
}
