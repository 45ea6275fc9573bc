import { expect, test } from "vitest";
import type { FeedPage } from "../../../sdk/port/feed.ts";
import type { Guarded } from "../../../runtime/store/port.ts";
import { aNode, aState } from "../../kit/build.ts";
import type { Setup } from "../suite.ts";

const minuteMs = 60_000;

function texts({ lines }: FeedPage): readonly string[] {
  return lines.map(({ text }) => text);
}

/** All lines after a place, read as the pages come. */
async function allAfter(store: Guarded, cursor: string): Promise<readonly FeedPage[]> {
  const page = await store.feed.read(cursor, 0);
  return page.lines.length === 0 ? [page] : [page, ...(await allAfter(store, page.cursor))];
}

export function feeding(setup: () => Promise<Setup>): void {
  test("keeps nothing while nobody watches", async () => {
    const { store } = await setup();

    const before = store.feed.watched;
    await store.feed.write(["lost"]);
    const { cursor } = await store.feed.watch(minuteMs);

    expect(before).toBe(false);
    expect(await store.feed.read(cursor, 0)).toEqual({ lines: [], cursor });
    expect(store.feed.watched).toBe(true);
  });

  test("gives all readers the same lines in the same order, each with a place that grows", async () => {
    const { store } = await setup();
    const { cursor } = await store.feed.watch(minuteMs);
    await store.feed.write(["a", "b"]);
    await store.feed.write(["c"]);

    const page = await store.feed.read(cursor, 0);
    const again = await store.feed.read(cursor, 0);

    expect(texts(page)).toEqual(["a", "b", "c"]);
    expect(again).toEqual(page);
    const ids = page.lines.map(({ id }) => id);
    expect([...ids].sort()).toEqual(ids);
    expect(ids[0]! > cursor).toBe(true);
    expect(page.cursor).toBe(ids.at(-1));
    expect(page.lost).toBeUndefined();
  });

  test("dates lines by the store's clock", async () => {
    const { store, clock } = await setup();
    const { cursor } = await store.feed.watch(10 * minuteMs);
    await clock.advance("2m");
    await store.feed.write(["a"]);

    const { lines } = await store.feed.read(cursor, 0);

    expect(Math.abs(lines[0]!.atMs - clock.nowMs())).toBeLessThan(30_000);
  });

  test("goes on after any line, also within what was written together", async () => {
    const { store } = await setup();
    const { cursor } = await store.feed.watch(minuteMs);
    await store.feed.write(["a", "b", "c"]);
    await store.feed.write(["d"]);
    const { lines } = await store.feed.read(cursor, 0);

    const rests = await Promise.all(lines.map(({ id }) => store.feed.read(id, 0)));

    expect(rests.map(texts)).toEqual([["b", "c", "d"], ["c", "d"], ["d"], []]);
    expect(rests.every(({ lost }) => lost === undefined)).toBe(true);
  });

  test("is read in bounded pages without a hole", async () => {
    const { store } = await setup();
    const { cursor } = await store.feed.watch(minuteMs);
    const written = Array.from({ length: 130 }, (_, i) => String(i));
    for (const text of written) await store.feed.write([text]);

    const pages = await allAfter(store, cursor);

    expect(pages.length).toBeGreaterThan(2);
    expect(pages.flatMap(texts)).toEqual(written);
  });

  test("loses no line and no order to writers at the same time", async () => {
    const { store } = await setup();
    const { cursor } = await store.feed.watch(minuteMs);
    const writer = async (name: string): Promise<void> => {
      for (let n = 0; n < 20; n++) await store.feed.write([`${name}${2 * n}`, `${name}${2 * n + 1}`]);
    };
    const seen: string[] = [];
    const reading = (async () => {
      for (let at = cursor; seen.length < 120;) {
        const page = await store.feed.read(at, 1000);
        seen.push(...texts(page));
        at = page.cursor;
      }
    })();

    await Promise.all([writer("a"), writer("b"), writer("c"), reading]);

    const of = (name: string): readonly string[] => seen.filter((text) => text.startsWith(name));
    for (const name of ["a", "b", "c"]) expect(of(name)).toEqual(Array.from({ length: 40 }, (_, n) => `${name}${n}`));
  });

  test("wakes a reader that waits", async () => {
    const { store } = await setup();
    const { cursor } = await store.feed.watch(minuteMs);

    const reading = store.feed.read(cursor, 10_000);
    await store.feed.write(["a"]);

    expect(texts(await reading)).toEqual(["a"]);
  });

  test("lets a reader go when its signal aborts", async () => {
    const { store } = await setup();
    const { cursor } = await store.feed.watch(minuteMs);
    const leaving = new AbortController();

    const reading = store.feed.read(cursor, minuteMs, leaving.signal);
    leaving.abort();

    expect(await reading).toEqual({ lines: [], cursor });
  });

  test("keeps lines for five minutes, and says how many are gone", async () => {
    const { store, clock } = await setup();
    const { cursor } = await store.feed.watch(10 * minuteMs);
    await store.feed.write(["a", "b"]);
    await store.feed.write(["c"]);
    await clock.advance("4m");
    await store.feed.write(["d"]);
    const whole = await store.feed.read(cursor, 0);
    await clock.advance("2m");
    await store.feed.watch(minuteMs);
    await store.feed.write(["e"]);

    const rest = await store.feed.read(cursor, 0);

    expect(texts(whole)).toEqual(["a", "b", "c", "d"]);
    expect(texts(rest)).toEqual(["d", "e"]);
    expect(rest.lost).toBe(3);
    expect((await store.feed.read(whole.lines[0]!.id, 0)).lost).toBe(2);
    expect((await store.feed.read(whole.lines[2]!.id, 0)).lost).toBeUndefined();
  });

  test("tells those who come back after nobody watched that nobody knows what they missed", async () => {
    const { store, clock } = await setup();
    const first = await store.feed.watch(minuteMs);
    await store.feed.write(["a"]);
    await clock.advance("2m");
    await store.feed.write(["nobody"]);
    const second = await store.feed.watch(minuteMs);
    await store.feed.write(["b"]);

    const page = await store.feed.read(first.cursor, 0);

    expect(second.cursor > first.cursor).toBe(true);
    expect([texts(page), page.lost]).toEqual([["b"], null]);
    const next = await store.feed.read(page.cursor, 0);
    expect(next).toEqual({ lines: [], cursor: page.cursor });
  });

  test("tells of a change of counting once, also before there is a line", async () => {
    const { store, clock } = await setup();
    const first = await store.feed.watch(minuteMs);
    await clock.advance("2m");
    await store.feed.watch(minuteMs);

    const page = await store.feed.read(first.cursor, 0);

    expect([page.lines, page.lost]).toEqual([[], null]);
    expect((await store.feed.read(page.cursor, 0)).lost).toBeUndefined();
  });

  test("goes on with its counting while somebody watches again in time", async () => {
    const { store, clock } = await setup();
    const { cursor } = await store.feed.watch(3 * minuteMs);
    await store.feed.write(["a"]);
    await clock.advance("2m");

    const again = await store.feed.watch(3 * minuteMs);
    await clock.advance("2m");
    await store.feed.write(["b"]);

    const page = await store.feed.read(cursor, 0);
    expect([texts(page), page.lost]).toEqual([["a", "b"], undefined]);
    expect(again.cursor).toBe(page.lines[0]!.id);
  });

  test.each(["", "0", "x-y", "000000000-00000000", "000000000-0000000000", "run_1", "\0"])(
    "refuses the cursor %j",
    async (cursor) => {
      const { store } = await setup();
      await store.feed.watch(minuteMs);

      await expect(store.feed.read(cursor, 0)).rejects.toMatchObject({ code: "INVALID_INPUT", path: "since" });
    },
  );

  test("names the nodes that died since, but none that left or lives", async () => {
    const { store, clock } = await setup();
    const join = (name: string): Promise<number> => store.nodes.join(aNode({ name }), 30_000);
    await join("dead");
    const [left, alive] = [await join("left"), await join("alive")];
    const first = await store.feed.watch(10 * minuteMs);
    await store.nodes.leave(left);
    await clock.advance("1m");
    await store.nodes.beat(alive, 30_000, aState(), []);

    const second = await store.feed.watch(minuteMs, first.nowMs);
    const again = await store.feed.watch(minuteMs, first.nowMs); // another reader's question
    const later = await store.feed.watch(minuteMs, second.nowMs);

    expect([second, again].map(({ dead }) => dead)).toEqual(Array.from({ length: 2 }, () => ["host:1", "dead"]));
    expect([first.dead, later.dead]).toEqual([[], []]);
  });

  test("lets a node know by its beat that somebody watches", async () => {
    const { store, node, clock } = await setup();
    await store.feed.watch(minuteMs);
    await clock.advance("2m");
    await store.nodes.beat(node, 30_000, aState(), []);

    const after = store.feed.watched;
    await store.feed.watch(minuteMs);

    expect([after, store.feed.watched]).toEqual([false, true]);
  });
}
