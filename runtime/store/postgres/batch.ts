/** Joins calls that are in flight together into one write: whoever comes while a write runs, shares the next one.
 *  No timer: a lone call leaves at the end of its tick. Each caller gets its own answer.
 *  `flush` answers in order, or throws for all of them; `size` bounds what one write takes, `width` how many run at once. */
export function batch<In, Out>(
  flush: (items: readonly In[]) => Promise<readonly Out[]>,
  { size, width = 1 }: { readonly size: number; readonly width?: number },
): (items: readonly In[]) => Promise<readonly Out[]> {
  interface Call {
    readonly items: readonly In[];
    readonly resolve: (answers: readonly Out[]) => void;
    readonly reject: (error: unknown) => void;
  }
  let waiting: Call[] = [];
  let flying = 0;

  function take(): Call[] {
    let count = 0;
    let end = 0;
    while (end < waiting.length && (end === 0 || count + waiting[end]!.items.length <= size))
      count += waiting[end++]!.items.length;
    const taken = end === waiting.length ? waiting : waiting.slice(0, end);
    waiting = end === waiting.length ? [] : waiting.slice(end);
    return taken;
  }

  async function pump(): Promise<void> {
    if (flying >= width) return;
    flying++;
    while (waiting.length > 0) {
      const calls = take();
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
      waiting.push({ items, resolve, reject });
      if (flying < width && waiting.length === 1) queueMicrotask(() => void pump());
    });
}
