import { afterAll, beforeAll, expect, test } from "vitest";
import { queryOf } from "../../cli/command/stats.ts";
import { given } from "../../cli/given.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { aNode, aState, aTally } from "../kit/build.ts";
import { freshDatabase, type Database } from "../kit/database.ts";
import { folder } from "./folder.ts";
import { tasker as run, type Answer } from "./line.ts";

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
  const store = postgres({ url: database.url });
  await store.open();
  const node = await store.nodes.join(aNode(), 60_000);
  const spans = (bucket: number, count: number): readonly number[] => [...new Array<number>(bucket).fill(0), count];
  await store.nodes.beat(node, 60_000, aState(), [
    aTally({ completed: 1200, failed: 3, waits: spans(9, 1203), runs: spans(41, 1203) }),
    aTally({ job: "other", canceled: 7, retried: 2 }),
  ]);
  await store.close();
});
afterAll(() => database.drop());

const tasker = (...argv: readonly string[]): Promise<Answer> =>
  run(argv, folder(), { TASKER_DATABASE_URL: database.url });

test("stats since a time shows what ended by step, and of all steps", async () => {
  const { out, code } = await tasker("stats", "--since", "1h");

  const lines = out.trimEnd().split("\n");
  expect(code).toBe(0);
  expect(lines[0]).toMatch(
    /^SINCE +COMPLETED +FAILED +CANCELED +RETRIED +WAIT P50 +WAIT P95 +WAIT P99 +RUN P50 +RUN P95 +RUN P99$/,
  );
  expect(lines.length).toBeGreaterThanOrEqual(14);
  expect(lines.length).toBeLessThanOrEqual(16);
  expect(lines.at(-1)).toMatch(/^all +1200 +3 +7 +2 +4ms +5ms +5ms +1\.\ds +1\.2s +1\.2s$/);
  expect(lines[1]).toMatch(/^20\d\d-\d\d-\d\dT\d\d:\d[05]Z +0 +0 +0 +0$/);
});

test("they are narrowed by job and queue, and the same for programs", async () => {
  const one = await tasker("stats", "--since", "1h", "--job", "job", "--queue", "default", "--json");
  const none = await tasker("stats", "--since", "2d", "--queue", "mail", "--step", "6h", "--json");

  expect(JSON.parse(one.out)).toMatchObject({
    ...{ stepMs: 300_000, total: { completed: 1200, failed: 3, canceled: 0 } },
  });
  expect(JSON.parse(none.out)).toMatchObject({ stepMs: 21_600_000, total: { completed: 0, wait: null } });
});

test.each([
  [["--since", "1h", "--step", "90s"], 'step "90s" is not whole minutes'],
  [["--since", "7d", "--step", "5m"], "is made of minutes, which are kept for a day"],
  [["--since", "soon"], '--since: "soon" is neither an ISO time'],
  [["--step", "5m"], "--step goes with --since, such as --since 1h"],
  [["--job", "a"], "--job goes with --since"],
])("stats %j is refused", async (flags, said) => {
  const { code, err } = await tasker("stats", ...flags);

  expect([code, err]).toEqual([2, expect.stringContaining(said)]);
});

test.each([
  ["20m", "1m"],
  ["1h", "5m"],
  ["6h", "15m"],
  ["1d", "1h"],
  ["7d", "1d"],
  ["90d", "7d"],
])("of %s each line is %s", (since, step) => {
  expect(queryOf(given({ since: [since] }))).toMatchObject({ step });
});
