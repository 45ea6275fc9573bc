import { expect, test } from "vitest";
import {
  addMany,
  addOne,
  aKey,
  anEntry,
  ended,
  failed,
  journalOf,
  lease,
  leased,
  only,
  recordOf,
  sendTo,
  settled,
  suspended,
  waiting,
  wire,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";

/** What is sent to runs. */
export function mailing(setup: () => Promise<Setup>): void {
  test("a run that waits is woken by what is sent to it, and finds it in its journal", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await recordOf(store, taken, [anEntry(1)]);
    await store.runs.settle([settled(taken, waiting())]);

    const before = await store.find.get(taken.id);
    const none = await lease(store, node);
    const sent = await sendTo(store, taken.id, { value: wire("on"), data: '{"by":"me"}' });
    const again = only(await lease(store, node));

    expect(before).toMatchObject({ status: "waiting", reason: "signal" });
    expect(none).toEqual([]);
    expect(sent).toEqual({ id: taken.id, done: "sent" });
    expect(again.id).toBe(taken.id);
    expect(await journalOf(store, again)).toMatchObject({
      inbox: 1,
      entries: [anEntry(1), { n: 2, kind: "mail", key: "go", value: wire("on"), data: '{"by":"me"}', runs: null }],
    });
  });

  test("a sleeping run is woken by what is sent to it", async () => {
    const { store, clock, node } = await setup();
    const { id } = await suspended(store, node, { reason: "sleep", untilMs: clock.nowMs() + 600_000 });

    await sendTo(store, id);

    expect(only(await lease(store, node)).id).toBe(id);
  });

  test("what was sent before the run started is taken in, in order, and once", async () => {
    const { store, node } = await setup();
    const id = await addOne(store);
    const mail = [1, 2, 3].map((n) => ({ to: id, name: `n${n}`, value: wire(n), data: null }));
    await store.flow.send(mail.slice(0, 2));
    await store.flow.send(mail.slice(2));
    const taken = only(await lease(store, node));

    const journals = await Promise.all([journalOf(store, taken), journalOf(store, taken)]);
    journals.push(await journalOf(store, taken));

    for (const journal of journals)
      expect(journal).toMatchObject({ inbox: 3, entries: mail.map(({ name: key, value }) => ({ key, value })) });
    expect(journals[0]!.entries.map(({ n, kind }) => [n, kind])).toEqual([1, 2, 3].map((n) => [n, "mail"]));
  });

  test("what was sent is taken in past what was recorded, and what is recorded comes after", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await recordOf(store, taken, [anEntry(1)]);
    await sendTo(store, taken.id);

    const { entries } = (await journalOf(store, taken, 1))!;
    const recorded = await recordOf(store, taken, [anEntry(3)]);

    expect(entries).toMatchObject([{ n: 2, kind: "mail" }]);
    expect(recorded).toMatchObject({ inbox: 1, entries: [{ n: 3 }] });
    expect((await store.flow.read(taken.id)).map(({ kind }) => kind)).toEqual(["step", "mail", "step"]);
  });

  test("a run that was sent more than it knows of is due as soon as it waits; one that knows of all waits", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await sendTo(store, taken.id);

    await store.runs.settle([settled(taken, waiting({ seen: 0 }))]);
    const again = only(await lease(store, node));
    const { inbox } = (await journalOf(store, again))!;
    await store.runs.settle([settled(again, waiting({ seen: inbox }))]);

    expect(again.id).toBe(taken.id);
    expect((await store.find.get(taken.id))!.status).toBe("waiting");
    expect(await lease(store, node)).toEqual([]);
  });

  test("what was taken in, but not answered for all its load's caller knows, still wakes", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await sendTo(store, taken.id);
    await journalOf(store, taken); // the answer is lost

    await store.runs.settle([settled(taken, waiting({ seen: 0 }))]);

    expect(only(await lease(store, node)).id).toBe(taken.id);
  });

  test("no wake-up is lost between a wait that begins and what is sent meanwhile", async () => {
    const { store, node } = await setup();
    for (let round = 0; round < 10; round++) {
      const ids = await addMany(store, 10);
      const taken = await lease(store, node, { limit: 10 });

      await Promise.all([
        ...taken.map((each) => store.runs.settle([settled(each, waiting())])),
        ...ids.toReversed().map((id) => sendTo(store, id)),
      ]);
      const again = await lease(store, node);
      await store.runs.settle(again.map((each) => settled(each)));

      expect(new Set(again.map(({ id }) => id))).toEqual(new Set(ids));
    }
  });

  test("a repeated wait does not undo what has woken the run since", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    const settlement = settled(taken, waiting());
    await store.runs.settle([settlement]);
    await sendTo(store, taken.id);

    const repeated = await store.runs.settle([settlement]);

    expect(repeated).toEqual(["settled"]);
    expect(only(await lease(store, node)).id).toBe(taken.id);
  });

  test("many senders at once lose nothing", async () => {
    const { store, node } = await setup();
    const { id } = await suspended(store, node);

    await Promise.all(Array.from({ length: 50 }, (_, n) => sendTo(store, id, { value: wire(n) })));

    const { entries, inbox } = (await journalOf(store, only(await lease(store, node))))!;
    expect(inbox).toBe(50);
    expect(new Set(entries.map(({ value }) => value!.json)).size).toBe(50);
  });

  test("to a run that ended or is not there nothing is sent", async () => {
    const { store, node } = await setup();
    const [over, live] = [await ended(store, node), await addOne(store, { delayMs: 600_000 })];

    const mail = [over, 1_000_000_000, live].map((to) => ({ to, name: "go", value: null, data: null }));
    const answers = await store.flow.send(mail);

    expect(answers.map(({ done }) => done)).toEqual(["ended", "missing", "sent"]);
    expect(await store.flow.read(over)).toEqual([]);
  });

  test("something is sent to the run that holds a key of a job", async () => {
    const { store, node } = await setup();
    const holds = await addOne(store, { key: aKey("k"), delayMs: 600_000 });
    const completed = await ended(store, node, undefined, { key: aKey("over") });
    await ended(store, node, failed(), { key: aKey("free") });

    const answers = [];
    for (const key of ["k", "over", "free", "none"]) answers.push(await sendTo(store, { job: "job", key }));
    const other = await sendTo(store, { job: "other", key: "k" });

    expect(answers.slice(0, 2)).toEqual([
      { id: holds, done: "sent" },
      { id: completed, done: "ended" },
    ]);
    expect([...answers.slice(2), other].map(({ done }) => done)).toEqual(["missing", "missing", "missing"]);
    const taken = only(await lease(store, node, { aheadMs: 900_000 }));
    expect(await journalOf(store, taken)).toMatchObject({ inbox: 1, entries: [{ kind: "mail", key: "go" }] });
  });
}
