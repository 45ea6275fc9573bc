import { describe, expect, test } from "vitest";
import { z } from "zod";
import { decode } from "../../sdk/port/codec.ts";
import { defineJob } from "../../sdk/job.ts";
import { again, failed, lease, only, settled } from "../kit/build.ts";
import { mail, published, read, runsOf } from "./kit.ts";

const hour = 3_600_000;

/** The run of a file with one item. */
async function made(item: object) {
  const store = await published();
  const { checked, loaded } = await read(store, JSON.stringify(item));
  expect(checked.problems).toEqual([]);
  expect(loaded).toMatchObject({ runs: 1, problems: [] });
  return { run: only(await runsOf(store)), notes: checked.made![0]!.item.notes };
}

async function refused(text: string, name?: string): Promise<readonly (readonly [number, string, string])[]> {
  const { checked } = await read(await published(), text, { name });
  expect(checked.refused).toBeGreaterThan(0);
  return checked.problems.map(({ line, path, message }) => [line, path, message]);
}

describe("an item", () => {
  test("is a run, with all that it says", async () => {
    const { run } = await made({
      ...{ job: "mail", payload: { to: "ada", at: "2030-01-01T09:00:00Z" }, id: "order-7", description: "a reminder" },
      ...{ runAt: "2030-01-01T10:00:00+01:00", priority: 7, tags: ["a"], retry: { attempts: 9, delay: "5s" } },
    });

    expect(run).toMatchObject({
      ...{ job: "mail", priority: 7, tags: ["own", "a"], key: "order-7", dueAt: new Date("2030-01-01T09:00:00Z") },
      options: { retry: { attempts: 9, delayMs: 5000 } },
    });
    expect(decode(run.input)).toEqual({ to: "ada", at: new Date("2030-01-01T09:00:00Z") }); // by the schema
  });

  test("is due now, after its delay, or at its instant", async () => {
    const before = Date.now();

    const runs = await Promise.all(
      [{}, { delay: "1h" }, { runAt: "2030-01-01" }].map((when) =>
        made({ job: "mail", payload: { to: "a" }, ...when }),
      ),
    );

    const due = runs.map(({ run }) => run.dueAt.getTime());
    expect(due[0]! - before).toBeLessThan(hour / 2);
    expect(due[1]! - before).toBeGreaterThanOrEqual(hour);
    expect(due[2]).toBe(Date.UTC(2030, 0));
  });

  test("has a schedule with cron or every, of its id or else of its content", async () => {
    const store = await published();
    const item = { job: "mail", payload: { to: "a" }, tags: ["t"], priority: 3, retry: { attempts: 2 } };

    const { loaded } = await read(
      store,
      JSON.stringify([
        { ...item, cron: "0 9 * * *", id: "daily" },
        { ...item, cron: "0 9 * * *", timezone: "Asia/Tokyo" },
        { ...item, every: "5m" },
      ]),
    );
    const twice = await read(store, JSON.stringify({ ...item, every: "5m", tags: ["another"] }));

    const { items } = await store.schedules.list({});
    expect([loaded, twice.loaded]).toMatchObject([{ schedules: 3, runs: 0 }, { schedules: 1 }]);
    expect(items.map(({ key }) => key)).toEqual([
      "daily",
      ...Array(2).fill(expect.stringMatching(/^file:[0-9a-f]{16}$/)),
    ]);
    const rules = items.map(({ rule: { cron, timezone, everyMs } }) => `${cron ?? everyMs} ${timezone ?? ""}`);
    expect(rules.toSorted()).toEqual(["0 9 * * * Asia/Tokyo", "0 9 * * * Europe/Paris", "300000 "]);
    expect(items[0]).toMatchObject({ tags: ["t"], priority: 3, rule: { retry: { attempts: 2 } }, declared: false });
    expect(items.find(({ rule }) => rule.everyMs)).toMatchObject({ tags: ["another"] });
  });

  test("that says when in several ways goes by cron, every, runAt, delay, in this order, and says what does not count", async () => {
    const store = await published();
    const all = { cron: "0 9 * * *", every: "5m", runAt: "2030-01-01", delay: "1h", timezone: "UTC" };
    const item = { job: "mail", payload: { to: "a" } };
    const { cron: _c, ...noCron } = all;
    const { every: _e, ...noEvery } = noCron;

    const { made } = await read(store, JSON.stringify([all, noCron, noEvery].map((when) => ({ ...item, ...when }))));

    expect(made.map(({ item: { when } }) => when.kind)).toEqual(["cron", "every", "runAt"]);
    expect(made.map(({ item: { notes } }) => notes)).toEqual([
      ["every", "runAt", "delay"].map((one) => `${one} does not count: the item has cron`),
      [
        ...["runAt", "delay"].map((one) => `${one} does not count: the item has every`),
        "timezone does not count: the item has no cron",
      ],
      ["delay does not count: the item has runAt", "timezone does not count: the item has no cron"],
    ]);
  });

  test.each([
    [{ job: "mial", payload: {} }, "job", /job "mial" is not known .*; did you mean "mail"\?/],
    [{ payload: {} }, "job", /job is missing/],
    [{ job: "mail", payload: { to: 7 } }, "payload.to", /^payload\.to: .*expected string/],
    [{ job: "mail", payload: { to: "a", at: "soon" } }, "payload.at", /^payload\.at: /],
    [{ job: "mail" }, "payload", /^payload: /],
    [{ job: "mail", payload: { to: "x".repeat(300_000) } }, "payload", /larger than 256 KiB/],
    [{ job: "mail", payload: { to: "a" }, delay: "soon" }, "delay", /duration "soon"/],
    [{ job: "mail", payload: { to: "a" }, runAt: "2030-01-01T09:00:00" }, "runAt", /not an ISO time with a zone/],
    [{ job: "mail", payload: { to: "a" }, cron: "0 25 * * *" }, "cron", /hour "25" is not within 0-23/],
    [{ job: "mail", payload: { to: "a" }, cron: "@daily", timezone: "Mars" }, "timezone", /"Mars" is not a zone/],
    [{ job: "mail", payload: { to: "a" }, every: "10ms" }, "every", /more than one tick a second/],
    [{ job: "mail", payload: { to: "a" }, priority: 12 }, "priority", /whole number from 0 to 9/],
    [{ job: "mail", payload: { to: "a" }, tags: [7] }, "tags", /tag "7" is not a text/],
    [{ job: "mail", payload: { to: "a" }, retry: { attempts: 0 } }, "retry.attempts", /from 1 to 1000/],
    [{ job: "mail", payload: { to: "a" }, retry: 5 }, "retry", /retry "5" is not an object/],
    [{ job: "mail", payload: { to: "a" }, id: "$file:x" }, "id", /begins with "\$file:", which is reserved/],
    [{ job: "mail", payload: { to: "a" }, id: "" }, "id", /id "" is not a text/],
    [{ job: "mail", payload: { to: "a" }, cron: "@daily", id: "x".repeat(200) }, "id", /not a text of 1 to 128/],
    [{ job: "mail", payload: { to: "a" }, runat: "2030-01-01" }, "runat", /no option "runat"; did you mean "runAt"/],
    [{ job: "mail", payload: { to: "a" }, description: 7 }, "description", /is not a text/],
  ])("%j is refused, and names %s", async (item, path, message) => {
    const text = JSON.stringify(item, null, 1).replace(/^\{/, "\n\n{");

    const problems = await refused(text);

    const there = path
      .split(".")
      .filter((part) => text.includes(`"${part}":`))
      .at(-1);
    const line = text.split("\n").findIndex((each) => each.includes(there === undefined ? "{" : `"${there}":`)) + 1;
    expect(problems).toEqual([[line, path, expect.stringMatching(message)]]);
  });

  test.each([
    ["7", /^"7" is not an item; write \{ "job"/],
    ["null", /^"null" is not an item/],
    ["[1]", /^"1" is not an item/],
    ['{"__proto__": {"x": 1}, "job": "mail"}', /no option "__proto__"/],
    ['{"job": "mail" "payload": 1}', /^this is not JSON: Expected ',' or '}' after property value$/],
    [" ", /^the file is empty$/],
    ["", /^the file is empty$/],
  ])("%j is no item", async (text, message) => {
    expect(await refused(text)).toEqual([[1, expect.any(String), expect.stringMatching(message)]]);
  });

  test("is checked by the job's own schema where the process has the job", async () => {
    const even = defineJob({
      id: "even",
      schema: z.object({ n: z.int().refine((n) => n % 2 === 0, "is odd"), at: z.date() }),
      handler: () => null,
    });
    const strict = defineJob({
      id: "strict",
      schema: z.any().refine(() => {
        throw new Error("boom");
      }),
      handler: () => null,
    });
    const jobs = [even, strict];
    const payload = { n: 2, at: "2030-01-01T00:00:00Z" };
    const store = await published();

    const good = await read(store, JSON.stringify({ job: "even", payload }), { jobs });
    const bad = await read(store, JSON.stringify({ job: "even", payload: { ...payload, n: 3 } }), { jobs });
    const thrown = await read(store, JSON.stringify({ job: "strict", payload }), { jobs });

    expect(good.loaded).toMatchObject({ runs: 1 });
    expect(decode(only(await runsOf(store)).input)).toEqual({ n: 2, at: new Date(payload.at) });
    expect([bad, thrown].map(({ checked }) => only(checked.problems).message)).toEqual([
      "payload.n: is odd",
      "the schema of the job threw: boom",
    ]);
  });
});

describe("an item of another scheduler", () => {
  test("is a run of the job that it names, tried once more than it says", async () => {
    const { run } = await made({
      ...{ id: "task-1", name: "mail", payload: { to: "a" }, trigger_at: "2030-01-01T09:00:00.123456789Z" },
      ...{
        max_retries: 5,
        retry_delay: "30s",
        tags: ["t"],
        description: "d",
        delay: 0,
        cron_expr: "",
        is_repeat: false,
      },
    });

    expect(run).toMatchObject({ key: "task-1", tags: ["own", "t"], dueAt: new Date("2030-01-01T09:00:00.123Z") });
    expect(run.options?.retry).toEqual({ attempts: 6, backoff: "fixed", delayMs: 30_000, jitter: false });
  });

  test.each([
    [{}, { attempts: 4, delayMs: 60_000 }],
    [{ max_retries: 0 }, { attempts: 1, delayMs: 60_000 }],
    [
      { max_retries: 2, retry_delay: 1_500_000_000 },
      { attempts: 3, delayMs: 1500 },
    ],
    [{ retry_delay: "1m30.5s" }, { attempts: 4, delayMs: 90_500 }],
  ])("that says %j is retried by %j", async (said, retry) => {
    const { run } = await made({ name: "mail", payload: { to: "a" }, ...said });

    expect(run.options?.retry).toMatchObject(retry);
  });

  test.each([
    [90_000_000_000, 90_000],
    ["90s", 90_000],
    ["1h30m", 1.5 * hour],
    ["1.5h", 1.5 * hour],
    ["250us", 1],
    [1, 1],
  ])("that has the delay %j waits %d ms", async (delay, ms) => {
    const store = await published();

    const { made } = await read(store, JSON.stringify({ name: "mail", payload: { to: "a" }, delay }));

    expect(only(made).run).toMatchObject({ delayMs: ms, dueAt: null });
  });

  test("that has a cron_expr repeats if it says so, else runs once at the next tick", async () => {
    const store = await published();
    const item = { name: "mail", payload: { to: "a" }, cron_expr: "0 0 1 1 *", trigger_at: "0001-01-01T00:00:00Z" };

    const { loaded } = await read(store, JSON.stringify([{ ...item, is_repeat: true, id: 7 }, item]));

    const { items } = await store.schedules.list({});
    const run = only(await runsOf(store));
    expect(loaded).toMatchObject({ runs: 1, schedules: 1 });
    expect(only(items)).toMatchObject({
      key: "7",
      rule: { cron: "0 0 1 1 *", retry: { attempts: 4, delayMs: 60_000 } },
    });
    expect(run.dueAt.getTime()).toBe(Date.UTC(new Date(Date.now() + hour).getUTCFullYear(), 11, 31, 23)); // in Paris
  });

  test.each([
    [{ name: 7 }, "name", /name is missing/],
    [{ name: "nail", payload: {} }, "name", /job "nail" is not known .*"mail"/],
    [{ name: "mail", payload: { to: "a" }, delay: "soon" }, "delay", /neither nanoseconds nor a text/],
    [{ name: "mail", payload: { to: "a" }, delay: -1 }, "delay", /neither nanoseconds/],
    [{ name: "mail", payload: { to: "a" }, max_retries: -1 }, "max_retries", /from 0 to 999/],
    [{ name: "mail", payload: { to: "a" }, is_repeat: "yes" }, "is_repeat", /neither true nor false/],
    [{ name: "mail", payload: { to: "a" }, cron_expr: "x" }, "cron_expr", /cron "x"/],
    [{ name: "mail", payload: { to: "a" }, trigger_at: 5 }, "trigger_at", /not an ISO time/],
    [{ name: "mail", payload: { to: "a" }, retry_delay: "9999h" }, "retry_delay", /longer than a year/],
    [{ name: "mail", payload: { to: "a" }, triger_at: "2030-01-01" }, "triger_at", /did you mean "trigger_at"/],
  ])("%j is refused, and names %s", async (item, path, message) => {
    expect(await refused(JSON.stringify(item))).toEqual([[1, path, expect.stringMatching(message)]]);
  });
});

describe("a file", () => {
  test("with something wrong makes nothing, and tells all that is wrong, each with its line", async () => {
    const store = await published();
    const lines = [
      '{"job":"mail","payload":{"to":"a"}}',
      '{"job":"mail","payload":{"to":1,"n":"x"}}',
      "{oops}",
      '{"job":',
    ];

    const { checked, loaded } = await read(store, lines.join("\n"), { name: "a.jsonl" });

    expect(loaded).toBeNull();
    expect(await runsOf(store)).toEqual([]);
    expect(checked).toMatchObject({ items: 4, refused: 3, cut: true });
    expect(checked.problems.map(({ line, path }) => `${line} ${path}`)).toEqual([
      "2 payload.to",
      "2 payload.n",
      "3 ",
      "4 ",
    ]);
  });

  test("loads once, whatever its name and whatever became of its runs", async () => {
    const store = await published();
    const text = JSON.stringify([1, 2, 3].map((n) => ({ job: "mail", payload: { to: "a", n } })));
    const first = await read(store, text);
    const node = await store.nodes.join({ name: "n", app: "a", version: "0" }, 60_000);
    const leases = await lease(store, node, { jobs: ["mail"] });
    await store.runs.settle([settled(leases[0]!, failed()), settled(leases[1]!), settled(leases[2]!, again(60_000))]);

    const second = await read(store, text, { name: "b.json" });
    const changed = await read(store, `${text}\n`);

    expect([first, second, changed].map(({ loaded }) => loaded)).toMatchObject([
      { runs: 3, existed: 0 },
      { runs: 0, existed: 3 },
      { runs: 3, existed: 0 },
    ]);
  });

  test("that was loaded half-way makes nothing again of items with an id whose runs have failed since", async () => {
    const store = await published();
    const since = new Date(Date.now() - 1000);
    const items = [1, 2].map((n) => ({ job: "mail", payload: { to: "a", n }, id: `id-${n}` }));
    await read(store, JSON.stringify(items[0]));
    const node = await store.nodes.join({ name: "n", app: "a", version: "0" }, 60_000);
    await store.runs.settle([settled(only(await lease(store, node, { jobs: ["mail"] })), failed())]);

    const { loaded } = await read(store, JSON.stringify(items), { since });

    expect(loaded).toMatchObject({ runs: 1, existed: 1 });
    expect(await runsOf(store)).toHaveLength(2);
    const another = await read(store, JSON.stringify(items[0], null, 1)); // not the same content: the key is free
    expect(another.loaded).toMatchObject({ runs: 1 });
  });

  test("is made once more if that is asked for, but for what has an id", async () => {
    const store = await published();
    const text = JSON.stringify([
      { job: "mail", payload: { to: "a" } },
      { job: "mail", payload: { to: "b" }, id: "x" },
    ]);
    await read(store, text);

    const { loaded } = await read(store, text, { again: true });

    expect(loaded).toMatchObject({ runs: 1, existed: 1 });
  });

  test("of 20,000 items that is too large to be held is read twice, and each item made once", async () => {
    const store = await published();
    const text = Array.from(
      { length: 20_000 },
      (_, n) => `${JSON.stringify({ job: "mail", payload: { to: "a", n } })}\n`,
    ).join("");

    const { checked, loaded } = await read(store, text, { name: "a.ndjson", jobs: [mail] });

    expect(checked).toMatchObject({ items: 20_000, refused: 0, made: null });
    expect(loaded).toMatchObject({ runs: 20_000, existed: 0 });
    const again = await read(store, text, { name: "b.ndjson", jobs: [mail] });
    expect(again.loaded).toMatchObject({ runs: 0, existed: 20_000 });
  });
});
