import { deed } from "./act.ts";

/** `tasker resume`: makes canceled runs pending again. */
export const resume = deed({
  verb: "resume",
  past: "resumed",
  about: "Make canceled runs pending again, by id or by filter",
  of: ["canceled"],
  examples: ["tasker resume run_2n9c", "tasker resume --queue mail --since 1d --yes"],
});
