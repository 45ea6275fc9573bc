/** Awaits a condition by name: asks `check` every 10 ms until it answers with something truthy, and gives that back.
 *  A check that throws counts as not yet; what it threw last becomes the cause of the failure.
 *  @param options.what names the condition in the failure, or answers its name then · timeoutMs defaults to 10,000
 *  @throws {Error} when the time is over: `"<what>" did not come true within <n> ms` */
export async function until<T>(
  check: () => T | Promise<T>,
  options: { readonly what: string | (() => string); readonly timeoutMs?: number },
): Promise<NonNullable<T>> {
  const { what, timeoutMs = 10_000 } = options;
  const end = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const answer = await check();
      if (answer) return answer;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= end) {
      const name = typeof what === "string" ? what : what();
      throw new Error(`"${name}" did not come true within ${timeoutMs} ms`, { cause });
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
