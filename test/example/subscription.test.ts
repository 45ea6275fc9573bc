import { signal } from "tasker";
import { beforeEach, describe, expect, test } from "vitest";
import { broke, payments } from "../../examples/subscription/billing.ts";
import { canceled, subscription } from "../../examples/subscription/subscription.ts";
import { stages } from "./stage.ts";

beforeEach(() => {
  payments.clear();
  broke.clear();
});
const begin = () => subscription.trigger({ user: "ada", cents: 500 }, { idempotencyKey: "ada" });

describe.each(stages())("on %s", (_store, open) => {
  test("a year is paid in twelve months, over deploys and crashes", async () => {
    await using t = await open({ jobs: [subscription], alwaysReplay: true });
    const run = await begin();

    for (let month = 1; month <= 12; month++) {
      await t.advance("29d");
      expect(payments.size).toBe(month);
      await t.crash();
      await t.advance("1d");
    }

    expect(await run.result()).toEqual({ months: 12, ended: "a year is over" });
    expect(payments.size).toBe(12);
    const { createdAt, finishedAt } = (await run.get())!;
    expect(Math.round((finishedAt!.getTime() - createdAt.getTime()) / 60_000)).toBe(360 * 24 * 60);
  });

  test("it ends when the user cancels, and nothing is paid any more", async () => {
    await using t = await open({ jobs: [subscription] });
    const run = await begin();
    await t.advance("100d");

    await signal({ job: "subscription", key: "ada" }, canceled, { why: "too dear" });
    await t.advance("100d");

    expect(await run.result()).toEqual({ months: 4, ended: "too dear" });
    expect(payments.size).toBe(4);
  });

  test("a payment is tried for three days, and then it ends", async () => {
    await using t = await open({ jobs: [subscription] });
    const run = await begin();
    await t.advance("10d");

    broke.add("ada");
    await t.advance("22d1h");
    broke.delete("ada");
    await t.advance("1d");
    const paid = payments.size;
    broke.add("ada");
    await t.advance("60d");

    expect(paid).toBe(2);
    expect(await run.result()).toEqual({ months: 2, ended: "not paid" });
    expect((await t.steps(run)).map(({ name, tries }) => [name, tries])).toEqual([
      ["charge", 1],
      ["charge#2", 4],
      ["charge#3", 4],
    ]);
  });
});
