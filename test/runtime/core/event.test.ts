import { describe, expect, test, vi } from "vitest";
import { Bus } from "../../../runtime/core/event.ts";
import type { RunEvent } from "../../../sdk/port/event.ts";

const at = new Date("2030-01-01T00:00:00Z");

function anEvent(overrides: Partial<RunEvent> = {}): RunEvent {
  return { type: "run.completed", at, run: "run_1", job: "job", queue: "default", tags: [], attempt: 1, ...overrides };
}

async function take(subscription: AsyncIterable<unknown>, count: number): Promise<unknown[]> {
  const taken: unknown[] = [];
  for await (const event of subscription) if (taken.push(event) === count) break;
  return taken;
}

describe("the bus", () => {
  test("is inactive until somebody listens, and again when nobody does", () => {
    const bus = new Bus();

    const before = bus.active;
    const off = bus.on({}, () => undefined);
    const during = bus.active;
    off();

    expect([before, during, bus.active]).toEqual([false, true, false]);
  });

  test("says which types somebody listens to, whatever else the listener's filter asks for", () => {
    const bus = new Bus();
    const heard = (): boolean[] => [bus.hears("run.failed"), bus.hears("run.completed")];

    const before = heard();
    const off = bus.on({ types: ["run.failed"], jobs: ["mail"] }, () => undefined);
    const one = heard();
    bus.on({ jobs: ["mail"] }, () => undefined);
    const all = heard();
    off();

    expect([before, one, all, heard()]).toEqual([
      [false, false],
      [true, false],
      [true, true],
      [true, true],
    ]);
  });

  test.each([
    ["types", { types: ["run.failed"] }, { type: "run.failed" }],
    ["jobs", { jobs: ["mail"] }, { job: "mail" }],
    ["queues", { queues: ["slow"] }, { queue: "slow" }],
    ["runs", { runs: ["run_2"] }, { run: "run_2" }],
    ["tags", { tags: ["a", "b"] }, { tags: ["b", "a", "c"] }],
  ] as const)("filters by %s", (_name, filter, matching) => {
    const bus = new Bus();
    const hear = vi.fn();
    bus.on(filter, hear);

    bus.publish(anEvent({ tags: ["a"] }));
    bus.publish(anEvent(matching));

    expect(hear).toHaveBeenCalledOnce();
    expect(hear).toHaveBeenCalledWith(expect.objectContaining(matching));
  });

  test("keeps node events from those who ask for runs", () => {
    const bus = new Bus();
    const hear = vi.fn();
    bus.on({ jobs: ["job"] }, hear);

    bus.publish({ type: "node.started", at, node: "a" });

    expect(hear).not.toHaveBeenCalled();
  });

  test("a listener that throws keeps no other from hearing", () => {
    const failed = vi.fn();
    const bus = new Bus(failed);
    const hear = vi.fn();
    bus.on({}, () => {
      throw new Error("deaf");
    });
    bus.on({}, hear);

    bus.publish(anEvent());

    expect(hear).toHaveBeenCalledOnce();
    expect(failed).toHaveBeenCalledOnce();
  });

  test("a subscriber reads events in order", async () => {
    const bus = new Bus();
    const subscription = bus.subscribe();

    for (const attempt of [1, 2, 3]) bus.publish(anEvent({ attempt }));

    expect(await take(subscription, 3)).toMatchObject([{ attempt: 1 }, { attempt: 2 }, { attempt: 3 }]);
  });

  test("a subscriber that is too slow reads a gap with the number lost, then the newest", async () => {
    const bus = new Bus();
    const subscription = bus.subscribe({}, { buffer: 2 });

    for (const attempt of [1, 2, 3, 4, 5]) bus.publish(anEvent({ attempt }));

    expect(await take(subscription, 3)).toMatchObject([{ type: "gap", lost: 3 }, { attempt: 4 }, { attempt: 5 }]);
  });

  test("a subscriber that waits is woken", async () => {
    const bus = new Bus();
    const reading = take(bus.subscribe(), 1);

    bus.publish(anEvent({ attempt: 7 }));

    expect(await reading).toMatchObject([{ attempt: 7 }]);
  });

  test("a subscription ends after close, with what was buffered", async () => {
    const bus = new Bus();
    const subscription = bus.subscribe();

    bus.publish(anEvent());
    subscription.close();
    bus.publish(anEvent());

    expect(await take(subscription, 9)).toHaveLength(1);
    expect(bus.active).toBe(false);
  });

  test("a reader that stops reading no longer costs anything", async () => {
    const bus = new Bus();
    const subscription = bus.subscribe();
    bus.publish(anEvent());

    await take(subscription, 1);

    expect(bus.active).toBe(false);
  });
});
