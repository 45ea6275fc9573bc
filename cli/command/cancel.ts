import { deed } from "./act.ts";

/** `tasker cancel`: ends runs that are not over; a running one hears it on its signal. */
export const cancel = deed({
  verb: "cancel",
  past: "canceled",
  about: "Cancel runs, by id or by filter",
  of: ["pending", "leased", "running", "waiting"],
  examples: ["tasker cancel run_2n9c", "tasker cancel --job remind --tag user:7 --yes"],
});
