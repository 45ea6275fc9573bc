import { add } from "./add.ts";
import { both } from "./both.ts";
import { bulk } from "./bulk.ts";
import { cold } from "./cold.ts";
import { drain } from "./drain.ts";
import { late } from "./late.ts";
import type { Measure } from "./measure.ts";
import { memory } from "./memory.ts";
import { pickup } from "./pickup.ts";

/** Those that a quick run leaves out, for they tell little that the others do not. */
export const slow: readonly string[] = ["bulk2", "drain2", "memory"];

/** All measures, in the order of a run. */
export const measures: readonly Measure[] = [
  add(1),
  add(64),
  bulk(1),
  bulk(2),
  drain(1),
  drain(2),
  both,
  pickup("own"),
  pickup("across"),
  late,
  cold,
  memory,
];
