import { expect, test } from "vitest";
import { statsOf } from "../../../sdk/client/runs.ts";
import type { SeriesQuery } from "../../../sdk/client/series.ts";
import type { Bucket, SeriesFilter } from "../../../sdk/port/target.ts";
import { recorder } from "./recorder.ts";

const asked: SeriesFilter[] = [];
function seriesOf(found: readonly Bucket[] = []) {
  asked.length = 0;
  const series = async (filter: SeriesFilter): Promise<readonly Bucket[]> => (asked.push(filter), found);
  return statsOf(async () => recorder({ find: { series } })).series;
}
const ago = (ms: number): Date => new Date(Date.now() - ms);

test("steps begin at multiples of their length, and those in which nothing ended are there, too", async () => {
  const at = new Date("2030-01-01T00:10:00Z");
  const some = { completed: 3, failed: 1, canceled: 2, retried: 5, waits: [4], runs: [0, 0, 0, 0, 0, 4] };
  const series = seriesOf([{ at, ...some }]);

  const query = { from: new Date("2030-01-01T00:07:30Z"), to: new Date("2030-01-01T00:21:00Z"), step: "5m" } as const;
  const found = await series({ ...query, job: "remind", queue: ["mail", "default"] });

  expect(asked).toEqual([
    {
      ...{ from: new Date("2030-01-01T00:05:00Z"), to: new Date("2030-01-01T00:25:00Z"), stepMs: 300_000 },
      ...{ job: ["remind"], queue: ["mail", "default"] },
    },
  ]);
  expect(found.points.map((point) => [point.at.toISOString().slice(14, 16), point.completed])).toEqual([
    ["05", 0],
    ["10", 3],
    ["15", 0],
    ["20", 0],
  ]);
  expect(found.points[0]).toMatchObject({ failed: 0, canceled: 0, retried: 0, wait: null, run: null });
  expect(found.points[1]).toEqual({ ...found.total, at });
  expect(found.total).toMatchObject({ completed: 3, failed: 1, canceled: 2, retried: 5 });
  expect(found.total.wait).toEqual({ p50: 0.5, p95: 1, p99: 1 });
  expect(found.total.run!.p50).toBeCloseTo(2.2, 1);
});

test("the total's percentiles are of all runs, not means of those of steps", async () => {
  const of = (at: string, runs: readonly number[]): Bucket => ({
    ...{ at: new Date(at), completed: 1, failed: 0, canceled: 0, retried: 0, waits: [], runs },
  });
  const fast = of("2030-01-01T00:00:00Z", [99]);
  const slow = of(
    "2030-01-01T00:01:00Z",
    Array.from({ length: 41 }, (_, n) => (n === 40 ? 1 : 0)),
  );

  const { total, points } = await seriesOf([fast, slow])({
    ...{ from: new Date("2030-01-01T00:00:00Z"), to: new Date("2030-01-01T00:02:00Z"), step: "1m" },
  });

  expect(points[1]!.run!.p50).toBeGreaterThan(800);
  expect(total.run!.p95).toBeLessThanOrEqual(1);
});

test.each<[string, SeriesQuery, string]>([
  ["seconds", { from: ago(60_000), step: "90s" }, 'step "90s" is not whole minutes; write it like "5m" or "1h"'],
  ["no length", { from: ago(60_000), step: "0m" }, 'step "0m" is zero'],
  ["no time", { from: ago(0), to: ago(600_000), step: "1m" }, "to is not after from"],
  ["too many steps", { from: ago(86_400_000 * 2), step: "1m" }, "steps of that time; 2500 at most: give a longer one"],
  ["minutes of last week", { from: ago(86_400_000 * 7), step: "15m" }, "is made of minutes, which are kept for a day"],
  ["what is no date", { from: "1h" as never, step: "1m" }, 'from "1h" is not a valid Date'],
  ["a misspelt option", { from: ago(60_000), step: "1m", jobs: "a" } as never, 'did you mean "job"?'],
])("figures of %s are refused", async (_what, query, said) => {
  await expect(seriesOf()(query)).rejects.toMatchObject({
    ...{ code: "INVALID_INPUT", message: expect.stringContaining(said) as string },
  });
  expect(asked).toEqual([]);
});

test("minutes of a day ago are there still", async () => {
  await expect(seriesOf()({ from: ago(86_400_000), step: "15m" })).resolves.toMatchObject({ stepMs: 900_000 });
});
