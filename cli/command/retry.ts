import { deed } from "./act.ts";

/** `tasker retry`: makes failed runs pending again, attempts counting from 1. */
export const retry = deed({
  verb: "retry",
  past: "made pending again",
  about: "Try failed runs again, by id or by filter",
  of: ["failed"],
  flags: [{ flag: "--failed", about: "All failed runs that match" }],
  examples: ["tasker retry run_2n9c", "tasker retry --failed --job remind --yes"],
});
