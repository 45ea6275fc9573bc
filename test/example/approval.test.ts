import { beforeEach, describe, expect, test } from "vitest";
import { decide } from "../../examples/approval/_decide.ts";
import { expense } from "../../examples/approval/expense.ts";
import { outbox } from "../../examples/approval/mailer.ts";
import { stages } from "./stage.ts";

const payload = { employee: "Ada", boss: "grace@example.com", cents: 900 };
const subjects = (): string[] => [...outbox.values()].map(({ subject }) => subject);
const tokenOf = (): string => [...outbox.values()][0]!.link.split("/").at(-1)!;

beforeEach(() => outbox.clear());

describe.each(stages())("on %s", (_store, open) => {
  test("the boss decides, and nobody is reminded", async () => {
    await using t = await open({ jobs: [expense], alwaysReplay: true });
    const run = await expense.trigger(payload);
    await t.idle();

    await decide(tokenOf(), { approved: true, by: "Grace" });
    await t.advance("10d");

    expect(await run.result()).toEqual({ approved: true, by: "Grace" });
    expect(subjects()).toEqual(["Ada spent 900 cents"]);
  });

  test("a reminder goes out after three days, and the first link still works", async () => {
    await using t = await open({ jobs: [expense], alwaysReplay: true });
    const run = await expense.trigger(payload);

    await t.advance("2d");
    const early = subjects();
    await t.advance("1d");
    await t.crash();
    await t.complete(tokenOf(), { approved: false, by: "Grace" });

    expect(early).toEqual(["Ada spent 900 cents"]);
    expect(subjects()).toEqual(["Ada spent 900 cents", "Still waiting: Ada spent 900 cents"]);
    expect(await run.result()).toEqual({ approved: false, by: "Grace" });
  });

  test("after a week nobody has decided", async () => {
    await using t = await open({ jobs: [expense] });
    const run = await expense.trigger(payload);

    await t.advance("7d");

    expect(await run.result()).toEqual({ approved: false, by: "nobody" });
  });

  test("an answer that is none is passed by, and the next one counts", async () => {
    await using t = await open({ jobs: [expense] });
    const run = await expense.trigger(payload, { retry: { attempts: 1 } });
    await t.idle();

    await t.complete(tokenOf(), { approved: "maybe" });
    await t.complete(tokenOf(), { approved: true, by: "Grace" });
    await t.idle();

    expect(await run.result()).toEqual({ approved: true, by: "Grace" });
  });
});
