/** A model of the store, compared with a real one step by step over random commands. */
import fc from "fast-check";
import { test } from "vitest";
import { guard } from "../../runtime/store/guard.ts";
import { fakeClock } from "../kit/clock.ts";
import { join, Model } from "./model/state.ts";
import { type Step, steps } from "./model/step.ts";
import type { Open } from "./suite.ts";

export interface ModelOptions {
  /** How many sequences. */
  readonly runs: number;
  /** How many commands a sequence has at most. */
  readonly steps: number;
  /** Fixed by default, so that a failure is found again; the failure prints it with the path to its shortest sequence. */
  readonly seed?: number;
}

/** Declares the test that random commands leave the store that `open` makes, and the model, in the same state. */
export function modelSuite(
  name: string,
  open: Open,
  { runs, steps: maxCommands, seed = 20_300_101 }: ModelOptions,
): void {
  test(`store ${name} agrees with its model over ${runs} random sequences of up to ${maxCommands} commands`, async () => {
    const arbitraries = steps.flatMap(({ weight, arbitrary }) => Array<fc.Arbitrary<Step>>(weight).fill(arbitrary));
    const property = fc.asyncProperty(fc.commands(arbitraries, { maxCommands, size: "max" }), (commands) =>
      follow(open, commands),
    );

    await fc.assert(property, { numRuns: runs, seed });
  }, 300_000);
}

async function follow(open: Open, commands: Iterable<Step>): Promise<void> {
  const clock = fakeClock();
  const store = guard(await open(clock));
  try {
    const model = new Model(clock);
    model.acting.push(await join(model, store), await join(model, store));
    await fc.asyncModelRun(() => ({ model, real: store }), commands);
  } finally {
    await store.close();
  }
}
