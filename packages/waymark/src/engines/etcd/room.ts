import { isWaymarkError, WaymarkError } from '../../core/errors.js';

/**
 * What etcd's "no room" means. A write that passed the check of space, and met others that filled it before its turn, is applied and
 * refused in the same words as one that was not. What was sent when etcd was known to be full does not pass the check.
 */
export class Room {
  #full = false;

  /**
   * @param takesRoom  etcd checks whether there is any: it puts something, at the top
   * @throws {WaymarkError} `storage_full` when it was certainly not applied, else `uncertain`
   */
  async write<T>(takesRoom: boolean, send: () => Promise<T>): Promise<T> {
    const knownFull = this.#full;
    try {
      const answer = await send();
      if (takesRoom) this.#full = false;
      return answer;
    } catch (error) {
      if (!isWaymarkError(error, 'storage_full')) throw error;
      this.#full = true;
      if (knownFull) throw error;
      const text = 'etcd ran out of space meanwhile, and may have applied it: make room, then look';
      throw new WaymarkError('uncertain', text, {}, error);
    }
  }
}
