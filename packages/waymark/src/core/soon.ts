const now = Promise.resolve();

/** Runs `job` behind the microtasks that wait already. As queueMicrotask, without the async resource it makes for each. */
export function soon(job: () => void): void {
  void now.then(job);
}
