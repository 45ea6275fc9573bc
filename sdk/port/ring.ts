/** What one reader has not read yet: batches of items, which others may share. Beyond `limit` items the oldest batches are lost. */
export class Ring<T> {
  readonly #limit: number;
  readonly #closed: () => void;
  #batches: (readonly T[])[] = [];
  #size = 0;
  #lost = 0;
  #error: { readonly error: unknown } | null = null;
  #over = false;
  #wake: (() => void) | null = null;

  /** `closed` is called when the reader leaves, or nothing more will come; maybe twice. */
  constructor(limit: number, closed: () => void) {
    this.#limit = limit;
    this.#closed = closed;
  }

  /** Takes items, of which there is one at least; they must not change. */
  take(batch: readonly T[]): void {
    this.#batches.push(batch);
    this.#size += batch.length;
    while (this.#size - this.#batches[0]!.length >= this.#limit) {
      const { length } = this.#batches.shift()!;
      this.#size -= length;
      this.#lost += length;
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
  async *read(): AsyncGenerator<
    { readonly batches: readonly (readonly T[])[]; readonly lost: number },
    void,
    undefined
  > {
    try {
      for (;;) {
        if (this.#size > 0) yield this.#drain();
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
    const drained = { batches: this.#batches, lost: this.#lost };
    this.#batches = [];
    this.#size = this.#lost = 0;
    return drained;
  }
}
