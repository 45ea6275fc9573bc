/** Batches concurrent calls: calls that come while a write runs share the next one. There is no timer; a lone call is written at the end of
 *  its tick.
 *  `flush` answers in order, or throws for all. `size`, and `bytes` by `weigh`, bound a write; `width` writes run at once. */
export function batch<In, Out>(
  flush: (items: readonly In[]) => Promise<readonly Out[]>,
  options: {
    readonly size: number;
    readonly width?: number;
    readonly bytes?: number;
    readonly weigh?: (item: In) => number;
  },
): (items: readonly In[]) => Promise<readonly Out[]> {
  const { size, width = 1, bytes = Infinity, weigh = () => 0 } = options;
  const waiting: Call<In, Out>[] = [];
  let flying = 0;

  async function pump(): Promise<void> {
    if (flying >= width) return;
    flying++;
    while (waiting.length > 0) {
      const calls = waiting.splice(0, endOf(waiting, size, bytes));
      try {
        const answers = await flush(calls.length === 1 ? calls[0]!.items : calls.flatMap((call) => call.items));
        let from = 0;
        for (const call of calls) call.resolve(answers.slice(from, (from += call.items.length)));
      } catch (error) {
        for (const call of calls) call.reject(error);
      }
    }
    flying--;
  }

  return (items) =>
    new Promise((resolve, reject) => {
      const weight = items.reduce((sum, item) => sum + weigh(item), 0);
      waiting.push({ items, weight, resolve, reject });
      if (flying < width && waiting.length === 1) queueMicrotask(() => void pump());
    });
}

interface Call<In, Out> {
  readonly weight: number;
  readonly items: readonly In[];
  readonly resolve: (answers: readonly Out[]) => void;
  readonly reject: (error: unknown) => void;
}

/** How many calls fit into a write; at least one. */
function endOf(calls: readonly Call<unknown, never>[], size: number, bytes: number): number {
  let count = 0;
  let weight = 0;
  for (const [i, call] of calls.entries()) {
    count += call.items.length;
    weight += call.weight;
    if (i > 0 && (count > size || weight > bytes)) return i;
  }
  return calls.length;
}
