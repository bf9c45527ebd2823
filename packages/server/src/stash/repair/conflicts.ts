import { isWaymarkError } from 'waymark/engine';

/** More in a row, and it is told. */
const passingMax = 5;

/**
 * A partition whose tombstones one side has purged and the other has not yet (`conflict`): comparing them again brings both to the same, so it is left for the next round, and the others go on. Only one
 * that stays so is a failure.
 */
export class Conflicts {
  readonly #inARow = new Map<string, number>();

  /** @returns whether it was done. @throws what is no conflict, and one that comes again and again */
  async leaveOut(name: string, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
    } catch (error) {
      const count = (this.#inARow.get(name) ?? 0) + 1;
      this.#inARow.set(name, count);
      if (isWaymarkError(error, 'conflict') && count <= passingMax) return false;
      throw error;
    }
    this.#inARow.delete(name);
    return true;
  }
}
