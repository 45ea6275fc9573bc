import { InvalidInput, schedules } from "tasker";
import { testRuntime } from "tasker/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pauseDigest, removeDigest, resumeDigest, saveDigest } from "../../examples/digest/_settings.ts";
import { digest } from "../../examples/digest/digest.ts";
import { running, type Running } from "./kit.ts";

const ada = { id: "7", email: "ada@example.com" };
const weekdays = { at: "09:00", days: "MON-FRI", timezone: "Europe/Paris" };

describe("on Postgres", () => {
  let own: Running;
  beforeAll(async () => {
    own = await running([digest]);
  });
  afterAll(() => own.stop());

  const localTime = (at: Date, timeZone: string): string =>
    at.toLocaleTimeString("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" });

  test("a user's digest is made, changed, paused, resumed and removed", async () => {
    const made = await saveDigest(ada, weekdays);
    const changed = await saveDigest(ada, { ...weekdays, at: "18:30", timezone: "Asia/Tokyo" });
    const paused = await pauseDigest("7");
    const savedWhilePaused = await saveDigest(ada, weekdays);
    const resumed = await resumeDigest("7");
    const removed = [await removeDigest("7"), await removeDigest("7")];

    expect(made).toMatchObject({ id: "digest@user:7", declared: false, paused: false });
    expect(localTime(made.nextAt!, "Europe/Paris")).toMatch(/^09:0[0-4]$/);
    expect(localTime(changed.nextAt!, "Asia/Tokyo")).toMatch(/^18:3[0-4]$/);
    expect([paused, savedWhilePaused].map((one) => [one.paused, one.nextAt])).toEqual([
      [true, null],
      [true, null],
    ]);
    expect(localTime(resumed.nextAt!, "Europe/Paris")).toMatch(/^09:0[0-4]$/);
    expect(removed).toEqual([true, false]);
    expect(await schedules.get("digest@user:7")).toBeNull();
  });

  test("a digest can be sent now, beside its times", async () => {
    await saveDigest({ ...ada, id: "8" }, weekdays);

    const run = await schedules.trigger<typeof digest>("digest@user:8");

    expect(await run.result({ timeout: "10s" })).toMatchObject({ to: "ada@example.com" });
  });

  test("a time that there is not is refused, and names the field", async () => {
    const saved = saveDigest(ada, { ...weekdays, at: "25:00" });

    await expect(saved).rejects.toThrow(InvalidInput);
    await expect(saved).rejects.toThrow('hour "25" is not within 0-23');
  });
});

test("a week brings a digest at nine on each of its weekdays, by the user's clock, also after clocks were put back", async () => {
  await using runtime = await testRuntime({ jobs: [digest], now: "2026-10-23T00:00:00Z" }); // a Friday
  const due: string[] = [];
  runtime.events.on({ types: ["schedule.ticked"] }, (event) => {
    if (event.type === "schedule.ticked") due.push(event.tick.toISOString().slice(0, 16));
  });
  await saveDigest(ada, weekdays);

  await runtime.advance("7d");

  expect(due).toEqual(["23T07", "26T08", "27T08", "28T08", "29T08"].map((time) => `2026-10-${time}:00`));
});
