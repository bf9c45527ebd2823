/**
 * A promise that shows the value it was made with. Who asks for it goes on in the same turn: the promises between an engine in memory and
 * a socket would cost a put a tenth. All others await it as any promise. What wraps an engine and makes promises of its own is never
 * passed by, as it would be by a second way into the engine.
 */
interface Settled<T> extends Promise<T> {
  /** A plain name: under a symbol V8 takes three times as long to put it there. */
  settledValue?: T;
}

/** @param value  best written out as a literal where this is called: then V8 knows that it is no promise, and does not look for its `then` */
export function settled<T extends object | number | boolean>(value: T): Promise<T> {
  const promise = Promise.resolve(value) as Settled<T>;
  promise.settledValue = value;
  return promise;
}

/** The value of a promise that `settled` made; undefined for every other. */
export function settledValue<T>(promise: Promise<T>): T | undefined {
  return (promise as Settled<T>).settledValue;
}
