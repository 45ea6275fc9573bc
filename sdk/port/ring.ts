/** What one reader has not read yet: past `limit` items the oldest are lost. */
export class Ring<T> {
  readonly #limit: number;
  readonly #closed: () => void;
  #items: T[] = [];
  #head = 0;
  #lost = 0;
  #error: { readonly error: unknown } | null = null;
  #over = false;
  #wake: (() => void) | null = null;

  /** `closed` is called when the reader leaves, or nothing more will come; maybe twice. */
  constructor(limit: number, closed: () => void) {
    this.#limit = limit;
    this.#closed = closed;
  }

  take(item: T): void {
    if (this.#items.length < this.#limit) this.#items.push(item);
    else {
      this.#items[this.#head] = item;
      this.#head = (this.#head + 1) % this.#limit;
      this.#lost++;
    }
    this.#wake?.();
  }

  /** Ends the iteration once what is there has been read; with an error, if one is given. */
  close(error?: unknown): void {
    if (error !== undefined) this.#error ??= { error };
    this.#over = true;
    this.#closed();
    this.#wake?.();
  }

  /** What came, in order, as often as something has; `lost` are those before it. */
  async *read(): AsyncGenerator<{ readonly items: readonly T[]; readonly lost: number }, void, undefined> {
    try {
      for (;;) {
        if (this.#items.length > 0) yield this.#drain();
        else if (this.#over) break;
        else {
          await new Promise<void>((resolve) => (this.#wake = resolve));
          this.#wake = null;
        }
      }
      if (this.#error) throw this.#error.error;
    } finally {
      this.close();
    }
  }

  #drain() {
    const items =
      this.#head === 0 ? this.#items : [...this.#items.slice(this.#head), ...this.#items.slice(0, this.#head)];
    const lost = this.#lost;
    this.#items = [];
    this.#head = this.#lost = 0;
    return { items, lost };
  }
}
