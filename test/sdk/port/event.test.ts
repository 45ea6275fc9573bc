import { expect, test } from "vitest";
import { matches, type RunEvent } from "../../../sdk/port/event.ts";

const resumed = (reason: string): RunEvent => ({
  ...{ type: "run.resumed", at: new Date(), run: "run_1", job: "job", queue: "default", tags: [], attempt: 1 },
  reason,
});

test.each([
  ["canceled", "pending"],
  ["failed", "pending"],
  ["sleep", "running"],
  ["signal", "running"],
  ["parked", "running"],
] as const)("a run that is resumed after %s is %s then", (reason, status) => {
  expect(matches({ statuses: [status] }, resumed(reason))).toBe(true);
  expect(matches({ statuses: [status === "pending" ? "running" : "pending"] }, resumed(reason))).toBe(false);
  expect(matches({ types: ["run.resumed"] }, resumed(reason))).toBe(true);
});
