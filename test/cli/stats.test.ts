import { expect, test } from "vitest";
import type { RateStat, Stats } from "../../sdk/port/target.ts";
import { nodeTable } from "../../cli/command/nodes.ts";
import { colors } from "../../cli/view/color.ts";
import { document } from "../../cli/command/stats.ts";

function aRate(parts: Partial<RateStat>): RateStat {
  return {
    ...{ queue: "default", job: "hello", completed: 0, failed: 0, canceled: 0, retried: 0, waitMs: 0, runMs: 0 },
    ...parts,
  };
}

test("means are named apart from sums, in each rate and in the totals", () => {
  const rates = [
    aRate({ completed: 3, failed: 1, waitMs: 40, runMs: 400 }),
    aRate({ job: "other", completed: 1, waitMs: 10, runMs: 100 }),
    aRate({ job: "idle", canceled: 1 }),
  ];
  const found: Stats = {
    at: new Date("2030-01-01T00:00:00Z"),
    queues: [],
    lanes: [],
    rates,
    windowMs: 60_000,
    nodes: [],
  };

  const shown = document(found, []) as { readonly rates: readonly object[]; readonly totals: object };

  expect(shown.rates).toMatchObject([
    { waitMs: 40, runMs: 400, meanWaitMs: 10, meanRunMs: 100 },
    { waitMs: 10, runMs: 100, meanWaitMs: 10, meanRunMs: 100 },
    { waitMs: 0, runMs: 0, meanWaitMs: null, meanRunMs: null },
  ]);
  expect(shown.totals).toMatchObject({ meanWaitMs: 10, meanRunMs: 100 });
  expect(shown.totals).not.toHaveProperty("waitMs");
});

test("the uptime of a node goes on while it is alive, and ends when it was last seen", () => {
  const startedAt = new Date("2030-01-01T00:00:00Z");
  const node = {
    ...{ id: 1, name: "a", startedAt, seenAt: new Date(startedAt.getTime() + 56), draining: false, asleep: false },
    ...{ slots: 1, busy: 0, heap: 0, jobs: [] },
  };
  const shown = nodeTable(
    [
      { ...node, alive: true },
      { ...node, alive: false },
    ],
    colors({}, {}),
    new Date(startedAt.getTime() + 9000),
  );

  expect(shown).toMatch(/^a +alive .* 9s /m);
  expect(shown).toMatch(/^a +gone .* 56ms /m);
});
