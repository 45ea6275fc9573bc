import { readFileSync } from "node:fs";
import { schedules, type CronWhen } from "tasker";
import { describe, expect, test } from "vitest";

const guide = readFileSync(new URL("../../docs/schedules.md", import.meta.url), "utf8");

test("every rule in the guide to schedules is one", async () => {
  const texts = [...guide.matchAll(/`([^`\n]+)`|cron: "([^"]+)"|--cron "([^"]+)"/g)]
    .map(([, code, option, flag]) => code ?? option ?? flag!)
    .filter((text) => /^(?:@\w+|(?:[\w*?/,#+-]+ ){4,5}[\w*?/,#+-]+$)/.test(text));

  const ticks = await Promise.all(texts.map((cron) => schedules.preview({ cron }, { count: 1 })));

  expect(texts.length).toBeGreaterThan(25);
  expect(ticks.filter((found) => found.length === 0)).toEqual([]);
});

describe("at clock changes", () => {
  const rows = [...guide.matchAll(/^\| `([^`]+)` \| (?:`(gap|overlap): "(\w+)"` )?\| ([^|]+) \| ([^|]+) \|$/gm)].map(
    ([, cron, policy, choice, spring, autumn]) => ({
      when: { cron: cron!, timezone: "Europe/Paris", ...(policy && { dst: { [policy]: choice } }) },
      spring: spring!,
      autumn: autumn!,
    }),
  );

  async function ticksOf(when: CronWhen, day: string): Promise<string> {
    const from = new Date(Date.parse(`${day}T00:00:00Z`) - 1);
    const ticks = await schedules.preview(when, { from, count: 5 });
    const near = ticks.map(({ tick }) => tick.toISOString()).filter((tick) => tick < `${day}T02`);
    return near.map((tick) => tick.replace(/.*T(\d\d:\d\d):00.000Z/, "$1Z")).join(" ") || "none";
  }

  test("the guide's table has rows", () => {
    expect(rows.length).toBe(7);
  });

  test.each(rows)("$when.cron with $when.dst ticks as the guide says", async ({ when, spring, autumn }) => {
    expect(await ticksOf(when, "2026-03-29")).toBe(spring);
    expect(await ticksOf(when, "2026-10-25")).toBe(autumn);
  });
});
