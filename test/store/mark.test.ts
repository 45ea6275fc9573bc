/** Claims that begin at the low-water mark of each lane instead of at the head of the index, and the scans that make up for it. */
import type pg from "pg";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { claims } from "../../runtime/store/postgres/claim.ts";
import { Watching } from "../../runtime/store/postgres/feed.ts";
import { Lanes } from "../../runtime/store/postgres/lane.ts";
import { Listener } from "../../runtime/store/postgres/listen.ts";
import { marks } from "../../runtime/store/postgres/mark.ts";
import { nodes } from "../../runtime/store/postgres/node.ts";
import { openPool, type Pool } from "../../runtime/store/postgres/pool.ts";
import { sql } from "../../runtime/store/postgres/sql.ts";
import type { Claim, Guarded } from "../../runtime/store/port.ts";
import { aClaim, addMany, addOne, aState, lease } from "../kit/build.ts";
import { ownStore } from "../kit/store.ts";
import { until } from "../kit/until.ts";
import { deferred } from "../runtime/kit.ts";

let url: string;
let store: Guarded;
let node: number;
let client: pg.Client;
beforeAll(async () => {
  const own = await ownStore();
  ({ url, store, node, client } = own);
  return own.close;
});

/** Claims as if something had been said to be due, unless it is to poll. */
async function claimed(about: Partial<Claim>): Promise<readonly number[]> {
  const { leases } = await store.runs.lease(aClaim({ node, limit: 10, poll: false, ...about }));
  return leases.map(({ id }) => id);
}

test("claims that go on where the last one ended bring each run once", async () => {
  const ids = await addMany(store, 45, { job: "many" });

  const taken: number[] = [];
  for (let i = 0; i < 6; i++) taken.push(...(await claimed({ jobs: ["many"] })));

  expect(taken).toEqual(ids);
});

test("what is added later is above the mark", async () => {
  await lease(store, node, { jobs: ["later"] });
  for (let i = 0; i < 3; i++) {
    const id = await addOne(store, { job: "later" });
    expect(await claimed({ jobs: ["later"] })).toEqual([id]);
  }
});

test("a run that turns up below the mark is found by a poll", async () => {
  await addOne(store, { job: "low" });
  await claimed({ jobs: ["low"] });
  const late = await addOne(store, { job: "low" });
  await client.query("update tasker.runs set ready_at = ready_at - interval '1 hour' where id = $1", [late]);

  expect(await claimed({ jobs: ["low"] })).toEqual([]);
  expect(await claimed({ jobs: ["low"], poll: true })).toEqual([late]);
});

test("a lane that a full claim did not reach keeps its mark", async () => {
  const high = await addMany(store, 10, { job: "two", priority: 9 });
  const low = await addMany(store, 3, { job: "two", priority: 1 });

  expect(await claimed({ jobs: ["two"] })).toEqual(high);
  expect(await claimed({ jobs: ["two"] })).toEqual(low);
});

test("a claim that fails forgets the marks that it began at", async () => {
  const [first] = await addMany(store, 2, { job: "forgets" });
  expect(await claimed({ jobs: ["forgets"] })).toHaveLength(2);
  await client.query(
    "update tasker.runs set lease_until = now() - interval '1 s', ready_at = ready_at - interval '1 h' where id = $1",
    [first],
  );
  expect(await claimed({ jobs: ["forgets"] })).toEqual([]);

  await expect(claimed({ jobs: ["forgets"], limit: -1 })).rejects.toThrow("LIMIT must not be negative");

  expect(await claimed({ jobs: ["forgets"] })).toEqual([first]);
});

test("a poll of one lane leaves the marks of others alone", async () => {
  const ids: number[] = [];
  for (const job of ["one", "other"]) {
    await addOne(store, { job });
    await claimed({ jobs: [job] });
    ids.push(await addOne(store, { job }));
  }
  await sink(ids);

  expect(await claimed({ jobs: ["one"], poll: true })).toEqual([ids[0]]);
  expect(await claimed({ jobs: ["other"] })).toEqual([]);
});

/** Makes runs look as if they had been ready for an hour. */
async function sink(ids: readonly number[]): Promise<void> {
  await client.query("update tasker.runs set ready_at = ready_at - interval '1 h' where id = any($1)", [ids]);
}

/** The claims of a process to which a full scan of `job` is slow: scans wait for `open`, and are said to have taken `tookMs`. `fails`: claims do. */
async function aSlowOne(job: string) {
  await addOne(store, { job });
  await lease(store, node, { jobs: [job] });
  const opened = deferred();
  /** What the answers of the coming claims wait for. */
  const held: Promise<void>[] = [];
  const state = { scans: 0, rings: 0, fails: false, isOver: false, tookMs: 100 };
  const pool = openPool({ url: url, max: 3, prepare: true, name: "test" });
  const rows: Pool["rows"] = async (...args) => {
    if (!state.fails) {
      const answer = await pool.rows(...args);
      await held.shift();
      return answer;
    }
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + 100); // it was too far to walk
    throw new Error("timeout");
  };
  const scanRows: Pool["rows"] = async (...args) => {
    state.scans++;
    await opened.promise;
    const [row] = await pool.guest.rows(...args);
    Object.assign(state, { rings: 0, isOver: true });
    return [[row![0]!, String(state.tookMs), ...row!.slice(2)]];
  };
  const text = sql("tasker", false);
  const listening = new Listener(url, text.channel, true);
  const guest = { ...pool.guest, rows: scanRows };
  const versions = new Map<number, string>();
  const lanes = new Lanes(pool, text);
  const some = { marks: marks(), versions, watching: new Watching() };
  const parts = { pool: { ...pool, rows, guest }, sql: text, lanes, ...some };
  await parts.lanes.follow(-2);
  const slow = parts.lanes.of([job], undefined);
  parts.marks.beat(slow, 60);
  const { lease: claim, listen } = claims(parts, listening);
  await listen(node, () => void state.rings++);
  onTestFinished(async () => {
    vi.restoreAllMocks();
    opened.resolve();
    await listening.close();
    await pool.close();
  });
  return {
    ...{ state, held, marks: parts.marks, lanes: slow, beat: nodes(parts).beat },
    open: () => opened.resolve(),
    rung: () => until(() => state.isOver && state.rings > 0, { what: "the scan says that runs are due" }),
    async poll(about: Partial<Claim> = {}): Promise<readonly number[]> {
      const { leases } = await claim(aClaim({ node, jobs: [job], limit: 10, ...about }));
      return leases.map(({ id }) => id);
    },
  };
}

describe("where a full scan takes long", () => {
  test("claims go on beside it: of a lane without a mark they take what has just come, and the scan finds the rest", async () => {
    const { poll, open, rung, state } = await aSlowOne("beside");
    const old = await addMany(store, 3, { job: "beside" });
    await sink(old);
    const recent = await addMany(store, 2, { job: "beside" });

    const before = await poll();
    const later = await addOne(store, { job: "beside" });
    const during = await poll();
    open();
    await rung();
    const after = await poll({ poll: false });

    expect([before, during, after]).toEqual([recent, [later], old]);
    expect(state.scans).toBe(1);
  });

  test("what turns up below a mark is found, and brought by its id", async () => {
    const { poll, open, rung, marks: known, lanes: of } = await aSlowOne("below");
    known.saw({ lanes: of, lastMs: new Map(), lateMs: 0, exhausted: true, nowMs: Date.now(), tookMs: 0 });
    const mark = known.of(of[0]!);
    const late = await addOne(store, { job: "below" });
    await sink([late]);

    const before = await poll();
    open();
    await rung();
    const after = await poll({ poll: false });

    expect([before, after]).toEqual([[], [late]]);
    expect(known.of(of[0]!)).toBeGreaterThanOrEqual(mark - 2000); // no claim walks over what is between
  });

  test("claims go on from where a scan stopped that did not bring all", async () => {
    const { poll, open, rung, state } = await aSlowOne("many");
    const old = await addMany(store, 1500, { job: "many" });
    await sink(old);
    open();

    expect(await poll()).toEqual([]);
    await rung();
    const taken = [...(await poll({ limit: 1000, poll: false })), ...(await poll({ limit: 1000, poll: false }))];

    expect(taken.toSorted((a, b) => a - b)).toEqual(old);
    expect(state.scans).toBe(1);
  });

  test("the answer of a claim that was sent before a scan ended does not hide what the scan left", async () => {
    const { poll, open, rung, held } = await aSlowOne("many-later");
    const old = await addMany(store, 1500, { job: "many-later" });
    await sink(old);
    const answer = deferred();
    held.push(answer.promise);

    const first = poll();
    open();
    await rung();
    answer.resolve();
    const taken = [...(await first)];
    for (let i = 0; i < 2; i++) taken.push(...(await poll({ limit: 1000, poll: false })));

    expect(taken.toSorted((a, b) => a - b)).toEqual(old);
  });

  test("the scan leaves out paused queues, and another claim gets what the node has no room for", async () => {
    const { poll, open, rung, state } = await aSlowOne("room");
    const [first, second] = await addMany(store, 2, { job: "room" });
    const paused = await addOne(store, { job: "room", queue: "paused" });
    await store.desk.pause("paused", true);
    await sink([first!, second!, paused]);

    await poll();
    open();
    await rung();
    const taken = [await poll({ limit: 1, poll: false }), await poll({ poll: false }), await poll({ poll: false })];

    expect(taken).toEqual([[first], [second], []]);
    expect(state.scans).toBe(1);
  });

  test("runs that a scan found are taken by their ids, whatever the planner knows of the table", async () => {
    const { leaseFound } = sql("tasker", false);
    await client.query(
      "set enable_seqscan = off; set enable_bitmapscan = off; set plan_cache_mode = force_generic_plan",
    );
    await client.query(`prepare found(bigint[], int[], int, float8, bigint, float8, int, bigint[]) as ${leaseFound}`);
    const plan = async (): Promise<string> => {
      const { rows } = await client.query("explain (format json) execute found('{1}', '{1}', 1, 1, 1, 1, 1, null)");
      return JSON.stringify(rows);
    };

    const plans = [await plan(), (await client.query("analyze tasker.runs"), await plan())];
    await client.query("deallocate found; reset plan_cache_mode; reset enable_seqscan; reset enable_bitmapscan");

    for (const text of plans) expect(text).toContain("runs_id");
    for (const text of plans) expect(text).not.toContain("runs_ready");
  });

  test("other lanes are none the slower", async () => {
    const { poll, state } = await aSlowOne("own");
    await addOne(store, { job: "free" });
    await poll({ jobs: ["free"] });
    const late = await addOne(store, { job: "free" });
    await sink([late]);

    expect(await poll({ jobs: ["free"] })).toEqual([late]);
    expect(state.scans).toBe(0);
  });

  test("a scan that was quick makes claims begin at the head again", async () => {
    const { poll, open, rung, state, marks: known, lanes: of } = await aSlowOne("quick");
    await sink([await addOne(store, { job: "quick" })]);
    await poll();
    state.tookMs = 1;
    open();
    await rung();

    expect([known.isSlow(of), known.of(of[0]!)]).toEqual([false, 0]);
    expect(await poll({ poll: false })).toHaveLength(1);
  });

  test("a claim from the head that fails is not repeated: claims go on, beside a scan", async () => {
    const { poll, state, marks: known, lanes: of } = await aSlowOne("failing");
    known.begin();
    known.end(of, 0, 0, true);
    state.fails = true;
    await expect(poll()).rejects.toThrow("timeout");
    state.fails = false;
    const id = await addOne(store, { job: "failing" });

    expect(await poll()).toEqual([id]);
    expect(state.scans).toBe(1);
  });

  test("beats do not look into such lanes", async () => {
    const { beat, marks: known, lanes: of } = await aSlowOne("beating");
    const looks = async (jobs: readonly string[]): Promise<boolean> =>
      (await beat(node, 600_000, aState({ busy: 0, heap: 0, jobs }), [])).coming !== null;

    const slow = [await looks(["beating"]), await looks(["other"])];
    known.begin();
    const meanwhile = await looks(["other"]);
    known.end(of, 1, 0, true);
    const quick = await looks(["beating"]);

    expect([slow, meanwhile, quick]).toEqual([[false, true], false, true]);
  });
});

describe("a lane", () => {
  const seen = { nowMs: 100_000, tookMs: 10, lateMs: 0, exhausted: true };
  const isSlow = (known: ReturnType<typeof marks>): readonly boolean[] => [1, 2].map((lane) => known.isSlow([lane]));
  const scan = (known: ReturnType<typeof marks>, ...end: Parameters<typeof known.end>): void => {
    known.begin();
    known.end(...end);
  };

  test("has a mark just before the last that was brought, or just before the claim", () => {
    const known = marks();
    expect(known.of(1)).toBe(0);

    known.saw({ ...seen, lanes: [1, 2], lastMs: new Map([[1, 5000]]), exhausted: false });
    expect([known.of(1), known.of(2)]).toEqual([4999, 0]);

    known.saw({ ...seen, lanes: [1, 2], lastMs: new Map([[1, 6000]]) });
    expect([known.of(1), known.of(2)]).toEqual([99_890, 99_890]);

    known.saw({ ...seen, lanes: [2], lastMs: new Map([[2, 101_000]]), exhausted: false }); // it was leased ahead
    expect(known.of(2)).toBe(99_890);
  });

  test("has a lower one for a while where commits take long", () => {
    const known = marks();
    const about = { ...seen, lanes: [1], lastMs: new Map<number, number>(), tookMs: 0 };

    known.saw({ ...about, lateMs: 700 });
    expect(known.of(1)).toBe(99_300);
    for (let i = 0; i < 10_000; i++) known.saw(about);
    expect(known.of(1)).toBe(99_900);
    known.saw({ ...about, lateMs: 600_000 });
    expect(known.of(1)).toBe(98_000);
  });

  test("is slow until a full scan that saw everything was quick", () => {
    const known = marks();

    scan(known, [1], 60, 0, true);
    const slow = isSlow(known);
    scan(known, [1], 1, 1000, false); // it stopped at its limit
    const part = isSlow(known);
    scan(known, [1], 1, 0, true);

    expect([slow, part, isSlow(known)]).toEqual([
      [true, false],
      [true, false],
      [false, false],
    ]);
  });

  test("is not slow because a claim brings many rows", () => {
    const known = marks();

    scan(known, [1], 20, 1000, false);

    expect(isSlow(known)).toEqual([false, false]);
  });

  test("begins at its head, unless that is slow, once something unknown may be due", () => {
    const known = marks();
    known.saw({ ...seen, lanes: [1, 2], lastMs: new Map() });
    scan(known, [1], 60, 0, true);

    known.forgetQuick();

    expect([known.of(1), known.of(2)]).toEqual([99_890, 0]);
    expect([known.isBelow(2, 99_000), known.isBelow(2, 99_900)]).toEqual([true, false]);
  });
});
