/** What was made, to be ended in reverse order; an end that fails keeps none of the others from theirs. */
export class Parts implements AsyncDisposable {
  #parts: AsyncDisposable[] = [];

  add<T extends AsyncDisposable>(part: T): T {
    this.#parts.push(part);
    return part;
  }

  /** Hands everything on: from now on this ends nothing. */
  move(): Parts {
    const moved = new Parts();
    moved.#parts = this.#parts.splice(0);
    return moved;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (const part of this.#parts.splice(0).reverse()) {
      try {
        await part[Symbol.asyncDispose]();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be ended');
  }
}
