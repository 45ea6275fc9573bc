import { expect, test } from "vitest";
import type { SeriesFilter } from "../../../sdk/port/target.ts";
import { aNode, aState, aTally, only } from "../../kit/build.ts";
import type { Setup } from "../suite.ts";

const [minuteMs, hourMs, dayMs] = [60_000, 3_600_000, 86_400_000];
const keep = { completedMs: 7 * dayMs, otherMs: 30 * dayMs };

/** Steps of this length around now, the first of which begins `before` earlier. */
function around(nowMs: number, stepMs: number, beforeMs = hourMs, more: Partial<SeriesFilter> = {}): SeriesFilter {
  const begin = (ms: number): Date => new Date(Math.floor(ms / stepMs) * stepMs);
  return { from: begin(nowMs - beforeMs), to: new Date(nowMs + stepMs), stepMs, ...more };
}

/** Ten seconds past five full minutes, so that no part of time ends between two calls. */
async function aligned(setup: () => Promise<Setup>): Promise<Setup> {
  const made = await setup();
  const restMs = 5 * minuteMs - (made.clock.nowMs() % (5 * minuteMs)) + 10_000;
  await made.clock.advance(`${restMs}ms`);
  await made.store.nodes.beat(made.node, 30_000, aState(), []);
  return made;
}

export function series(open: () => Promise<Setup>): void {
  const setup = (): Promise<Setup> => aligned(open);

  test("figures over time add up what all nodes report, by step", async () => {
    const { store, clock, node } = await setup();
    const other = await store.nodes.join(aNode({ name: "host:2" }), 30_000);
    const first = aTally({ completed: 2, failed: 1, waits: [1, 0, 2], runs: [0, 3] });
    await store.nodes.beat(node, 30_000, aState(), [first, aTally({ job: "b", canceled: 1, retried: 4 })]);
    await store.nodes.beat(other, 30_000, aState(), [aTally({ completed: 5, waits: [5], runs: [1, 1, 1, 2] })]);
    await clock.advance("10m");
    await store.nodes.beat(node, 30_000, aState(), [aTally({ completed: 1, waits: [0, 1], runs: [1] })]);

    const found = await store.find.series(around(clock.nowMs(), 5 * minuteMs));
    const whole = await store.find.series(around(clock.nowMs(), hourMs, dayMs));

    expect(found).toHaveLength(2);
    expect(found[0]).toMatchObject({ completed: 7, failed: 1, canceled: 1, retried: 4, waits: [6, 0, 2] });
    expect(found[0]!.runs).toEqual([1, 4, 1, 2]);
    expect(found[1]).toMatchObject({ completed: 1, failed: 0, canceled: 0, retried: 0, waits: [0, 1], runs: [1] });
    const [apart, begins] = [found[1]!.at.getTime() - found[0]!.at.getTime(), found[0]!.at.getTime()];
    expect(apart).toBeGreaterThanOrEqual(5 * minuteMs);
    expect(begins % (5 * minuteMs)).toBe(0);
    expect(whole.reduce((sum, { completed }) => sum + completed, 0)).toBe(8);
  });

  test("beats of one minute are added up", async () => {
    const { store, clock, node } = await setup();
    for (let i = 0; i < 3; i++)
      await store.nodes.beat(node, 30_000, aState(), [aTally({ completed: 1, waits: [1], runs: [0, 0, 1] })]);

    const found = await store.find.series(around(clock.nowMs(), hourMs));

    const sum = (of: (each: (typeof found)[number]) => number): number =>
      found.reduce((all, each) => all + of(each), 0);
    expect([sum(({ completed }) => completed), sum(({ waits }) => waits[0]!), sum(({ runs }) => runs[2]!)]).toEqual([
      3, 3, 3,
    ]);
  });

  test("figures are of some queues and jobs; runs that are pinned belong to their queue", async () => {
    const { store, clock, node } = await setup();
    await store.nodes.beat(node, 30_000, aState(), [
      aTally({ completed: 1 }),
      aTally({ completed: 2, job: "b" }),
      aTally({ completed: 4, queue: "mail" }),
      aTally({ completed: 8, queue: "$mail@v1" }),
    ]);
    const count = async (stepMs: number, more: Partial<SeriesFilter>): Promise<number> => {
      const found = await store.find.series(around(clock.nowMs(), stepMs, hourMs, more));
      return found.reduce((sum, { completed }) => sum + completed, 0);
    };

    for (const stepMs of [minuteMs, hourMs]) {
      expect(await count(stepMs, { job: ["b"] })).toBe(2);
      expect(await count(stepMs, { queue: ["mail"] })).toBe(12);
      expect(await count(stepMs, { queue: ["mail", "default"], job: ["job"] })).toBe(13);
      expect(await count(stepMs, { queue: ["none"] })).toBe(0);
    }
  });

  test("nothing outside of the time that was asked for is counted", async () => {
    const { store, clock, node } = await setup();
    await store.nodes.beat(node, 30_000, aState(), [aTally({ completed: 1 })]);
    const after = new Date(clock.nowMs() + hourMs);
    await clock.advance("3h");

    expect(await store.find.series({ ...around(clock.nowMs(), minuteMs, hourMs), from: after })).toEqual([]);
    expect(await store.find.series({ ...around(clock.nowMs(), minuteMs, 5 * hourMs), to: after })).toHaveLength(1);
  });

  test("hours are kept for 90 days, minutes for one; what was added up is counted once", async () => {
    const { store, clock, node } = await setup();
    const other = await store.nodes.join(aNode({ name: "host:2" }), 30_000);
    for (const [each, completed] of [
      [node, 1],
      [other, 2],
    ] as const)
      await store.nodes.beat(each, 30_000, aState(), [aTally({ completed, waits: [completed], runs: [0, completed] })]);
    await clock.advance("70m");
    await store.nodes.beat(node, 30_000, aState(), [aTally({ completed: 4 })]);
    const asked = [around(clock.nowMs(), minuteMs, 2 * hourMs), around(clock.nowMs(), hourMs, dayMs)] as const;
    const read = () => Promise.all(asked.map((each) => store.find.series(each)));
    const before = await read();

    for (let i = 0; i < 2; i++) await store.runs.sweep({ maxCrashes: 3, keep });

    expect(before[0]!.map(({ completed }) => completed)).toEqual([3, 4]);
    expect(before[1]!.map(({ completed }) => completed)).toEqual([3, 4]);
    expect(before[0]![0]).toMatchObject({ waits: [3], runs: [0, 3] });
    expect(await read()).toEqual(before);
    await clock.advance("26h");
    await store.nodes.beat(node, 30_000, aState(), [aTally({ completed: 8 })]);
    await store.runs.sweep({ maxCrashes: 3, keep });
    const [minutes, hours] = await read();
    expect(minutes).toEqual([]);
    expect(hours).toEqual(before[1]);
    await clock.advance("91d");
    await store.nodes.beat(node, 30_000, aState(), [aTally({ completed: 16 })]);
    await store.runs.sweep({ maxCrashes: 3, keep });
    const last = await store.find.series(around(clock.nowMs(), dayMs, 100 * dayMs));
    expect(only(last).completed).toBe(16);
  });
}
