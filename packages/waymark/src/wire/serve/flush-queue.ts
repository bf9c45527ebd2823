import { soon } from '../../core/soon.js';

/**
 * What was written in one turn of the loop leaves when its microtasks are done: one write a connection. News for watchers leave
 * before, as soon as all watches that wake together have written theirs: who waits for an answer waits for one write more.
 */
export class FlushQueue {
  #news: (() => void)[] = [];
  #answers: (() => void)[] = [];
  #scheduled = false;
  #newsScheduled = false;

  add(flush: () => void, news: boolean): void {
    if (news) {
      this.#news.push(flush);
      if (!this.#newsScheduled) soon(this.#runNews);
      this.#newsScheduled = true;
      return;
    }
    this.#answers.push(flush);
    if (!this.#scheduled) process.nextTick(this.#afterWakes);
    this.#scheduled = true;
  }

  /**
   * Where a message was answered at once this comes before the microtasks in which watches wake. Those that wait by now are
   * waited for, and not what they begin, as the next holder of a lock does: the client can go on meanwhile.
   */
  readonly #afterWakes = (): void => soon(this.#run);

  readonly #runNews = (): void => {
    this.#newsScheduled = false;
    const news = this.#news;
    this.#news = [];
    for (const flush of news) attempt(flush);
  };

  readonly #run = (): void => {
    this.#runNews();
    this.#scheduled = false;
    const answers = this.#answers;
    this.#answers = [];
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
