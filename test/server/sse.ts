export interface SentEvent {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: Record<string, unknown> | undefined;
}

/** Server-sent events as a browser reads them: the id of a block stays until the next one that has an id. */
export class EventReader implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #gone = new AbortController();
  readonly status: number;
  #text = '';
  lastEventId: string | undefined;
  comments = 0;

  private constructor(response: Response, gone: AbortController) {
    if (response.body === null) throw new Error('no body');
    this.status = response.status;
    this.#reader = response.body.getReader();
    this.#gone = gone;
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<EventReader> {
    const gone = new AbortController();
    return new EventReader(await fetch(url, { headers, signal: gone.signal }), gone);
  }

  /** The next event with data; null at the end of the stream. */
  async next(): Promise<SentEvent | null> {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end < 0) {
        const chunk = await this.#reader.read();
        if (chunk.done) return null;
        this.#text += Buffer.from(chunk.value).toString('utf8');
        continue;
      }
      const block = this.#text.slice(0, end).split('\n');
      this.#text = this.#text.slice(end + 2);
      const field = (name: string): string | undefined =>
        block.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      if (block.some((line) => line.startsWith(':'))) this.comments++;
      const id = field('id');
      if (id !== undefined) this.lastEventId = id;
      const data = field('data');
      if (data === undefined) continue;
      return { id, event: field('event'), data: JSON.parse(data) as Record<string, unknown> };
    }
  }

  async take(count: number): Promise<SentEvent[]> {
    const events: SentEvent[] = [];
    while (events.length < count) {
      const event = await this.next();
      if (event === null) break;
      events.push(event);
    }
    return events;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#gone.abort();
    await this.#reader.cancel().catch(() => undefined);
  }
}
