import { deed } from "./act.ts";

/** `tasker replay`: makes new runs from old ones' input. */
export const replay = deed({
  verb: "replay",
  past: "replayed",
  about: "Make new runs from the input of old ones, by id or by filter",
  of: ["completed", "failed", "canceled"],
  examples: ["tasker replay run_2n9c", "tasker replay --job remind --status failed --since 1h --yes"],
});
