/** A process of the harness: does what its parent tells it, with the contender in it. Runs compiled, in plain Node, like what it measures. */
import { acts, type Acts } from "./act.ts";

/** What the parent sends. */
export interface Order {
  readonly id: number;
  readonly act: keyof Acts;
  readonly call: unknown;
}

const does = acts((counted) => process.send?.({ counted }));

process.on("message", ({ id, act, call }: Order) => {
  const doing = (does[act] as (call: unknown) => Promise<unknown>)(call);
  doing.then(
    (answer) => process.send?.({ id, answer }),
    (error: unknown) => process.send?.({ id, error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
process.send?.({ ready: true });
