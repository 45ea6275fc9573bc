/** What the scaler asks Prometheus, answered by Prometheus's own tool where it is installed. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { folder } from "../cli/folder.ts";
import { has, yaml } from "./kit.ts";
import { scaler } from "./shape.ts";

const [{ spec }] = yaml("deploy/kubernetes/scale.yaml", scaler);
const { query } = spec.triggers[0].metadata;

/** What the query comes to of series, each with one value; null: nothing. */
function answered(series: Readonly<Record<string, number>>, expected: number | null): string {
  const input = Object.entries(series).map(([name, value]) => ({ series: name, values: `${value}` }));
  const exp_samples = expected === null ? [] : [{ labels: "{}", value: expected }];
  const asked = {
    interval: "1m",
    input_series: input,
    promql_expr_test: [{ expr: query, eval_time: "0m", exp_samples }],
  };
  const place = folder({ "query.yaml": stringify({ tests: [asked] }) });
  const { stdout, stderr } = spawnSync("promtool", ["test", "rules", join(place, "query.yaml")], { encoding: "utf8" });
  return (stdout + stderr).replace(/^Unit Testing:.*$/m, "").trim();
}

const age = (queue: string, instance: string): string =>
  `tasker_queue_oldest_ready_age_seconds{queue="${queue}",instance="${instance}"}`;
const paused = (queue: string): string => `tasker_queue_paused{queue="${queue}",instance="a"}`;

test.runIf(has("promtool")).each([
  [
    "the oldest of all queues counts, once",
    { [age("mail", "a")]: 40, [age("mail", "b")]: 40, [age("web", "a")]: 3, [paused("mail")]: 0 },
    40,
  ],
  ["a paused queue does not count", { [age("mail", "a")]: 40, [age("web", "a")]: 900, [paused("web")]: 1 }, 40],
  ["where nothing is said, nothing is answered", {}, null],
] as const)("%s", (_, series, expected) => {
  expect(answered(series, expected)).toBe("SUCCESS");
});

test.runIf(has("promtool"))("another answer is seen", () => {
  expect(answered({ [age("mail", "a")]: 40 }, 41)).toContain("FAILED");
});
