/**
 * What was written in one turn of the loop leaves when its microtasks are done: one write a connection. Connections with
 * news for watchers go first, as one write more before it matters less to who waits for an answer.
 */
export class FlushQueue {
  #news: (() => void)[] = [];
  #answers: (() => void)[] = [];
  #scheduled = false;

  add(flush: () => void, news: boolean): void {
    (news ? this.#news : this.#answers).push(flush);
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(this.#run);
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    const news = this.#news;
    const answers = this.#answers;
    this.#news = [];
    this.#answers = [];
    for (const flush of news) attempt(flush);
    for (const flush of answers) attempt(flush);
  };
}

/** A connection that fails here takes no other with it; its error is no one's to handle, and shows as what it is. */
function attempt(flush: () => void): void {
  try {
    flush();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}
