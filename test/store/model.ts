/** A store beside the memory store, which says what is meant: random commands go to both. */
import fc from "fast-check";
import { test } from "vitest";
import { guard } from "../../runtime/store/guard.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import { fakeClock } from "../kit/clock.ts";
import { Pair, Side } from "./model/pair.ts";
import type { Step } from "./model/command.ts";
import { steps, workflows } from "./model/step.ts";
import type { Open } from "./suite.ts";

export interface ModelOptions {
  /** How many sequences. */
  readonly runs: number;
  /** How many commands a sequence has at most. */
  readonly steps: number;
  /** Fixed by default, so that a failure is found again; the failure prints it with the path to its shortest sequence. */
  readonly seed?: number;
}

/** Declares the test that the store that `open` makes answers random commands as the memory store does, and that the same is found in it. */
export function modelSuite(
  name: string,
  open: Open,
  { runs, steps: maxCommands, seed = 20_300_101 }: ModelOptions,
): void {
  test.each([
    [runs, "commands", steps],
    [3 * runs, "commands of workflows", workflows],
  ])(
    `store ${name} agrees with memory over %i random sequences of up to ${maxCommands} %s`,
    async (numRuns, _what, commands) => {
      const arbitraries = commands.flatMap(({ weight, arbitrary }) =>
        Array<fc.Arbitrary<Step>>(weight).fill(arbitrary),
      );
      const property = fc.asyncProperty(fc.commands(arbitraries, { maxCommands, size: "max" }), (commands) =>
        follow(open, commands),
      );

      await fc.assert(property, { numRuns, seed });
    },
    300_000,
  );
}

async function follow(open: Open, commands: Iterable<Step>): Promise<void> {
  const still = fakeClock();
  let ticks = 0;
  const clock = { ...still, nowMs: () => still.nowMs() + ticks, tick: () => ticks++ };
  const sides = [new Side(memory({ now: clock.nowMs })), new Side(guard(await open(clock)))] as const;
  const model = { tick: clock.tick, lacks: sides[1].store.lacks };
  try {
    for (const side of sides) for (const at of [0, 1]) await side.join(at);
    const pair = new Pair(clock, sides);
    await fc.asyncModelRun(() => ({ model, real: pair }), commands);
    await pair.both((side) => side.rest());
  } finally {
    await sides[1].store.close();
  }
}
