import { expect, test } from "vitest";
import { createClient, HttpError } from "../../sdk/remote.ts";
import { remote } from "../../sdk/remote/target.ts";
import { InvalidPayload, KeyConflict, StoreUnavailable, WrongState } from "../../sdk/port/error.ts";
import { close as closeAll, configure } from "../../sdk/client/config.ts";
import { api } from "../../runtime/http/app.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import type { Guarded, Store } from "../../runtime/store/port.ts";
import { storeSuite } from "../store/suite.ts";
import { admin, anApi, hello } from "./kit.ts";

/** A store whose side for application code is a client of its API. */
function overHttp(store: Guarded): Store {
  const app = api({ target: store, tokens: "none" });
  const { find, desk, schedules, flow, feed, add } = remote({
    url: "http://localhost",
    fetch: (...given) => {
      const request = new Request(...given);
      request.headers.set("host", "localhost");
      return Promise.resolve(app.fetch(request));
    },
  });
  return {
    ...{ name: store.name, lacks: { ...store.lacks, tx: "it is reached over HTTP" } },
    ...{ nodes: store.nodes, ticks: store.ticks, open: store.open, close: store.close },
    runs: { ...store.runs, add: (batch, how = {}) => (how.lease ? store.runs.add(batch, how) : add(batch, how.tx)) },
    ...{ find, desk, schedules },
    flow: { ...store.flow, ...flow },
    feed: {
      ...feed,
      get watched() {
        return store.feed.watched;
      },
      write: (texts) => store.feed.write(texts),
    },
  };
}

const checks = "the API checks what it is sent, and these notes of types are none";
const reasons = "over HTTP a cancel is a person's: its reason is user";
const waits = "the server itself asks the nodes again, for 3 s";
const worked = "the server has worked out the next tick, so no schedule is fresh";
const except: Readonly<Record<string, string>> = {
  "an added run is pending and has all that it was given": checks,
  "a due run is leased with all that its attempt needs": checks,
  "a run that is added with a journal has it at its first lease, and goes on from there": checks,
  "the input comes back character by character": "JSON is written anew on the way: 1.0 comes back as 1",
  "an instant of long ago means now": "an instant in JSON has a year of four digits",
  "a run that was asked to cancel ends for the reason that was given, whatever its node says": reasons,
  "canceling keeps the reason that it was given": reasons,
  "a run that was canceled says by what": reasons,
  "canceling a canceled run is refused": "over HTTP a cancel of a canceled run is done already",
  "a node hears that a run it holds is to be canceled, and other nodes do not": waits,
  "of a leased run that is to be edited the node is asked to give it back, until it has or tells of the start": waits,
  "pausing a queue tells nodes, and how many runs they have that are not known to have started": waits,
  "a pinned run waits while its queue is paused, which is no queue of its own": waits,
  "purging never deletes what is live": "a purge over HTTP names what it deletes",
  "purging deletes at most as many as the limit says": "a purge over HTTP names what it deletes",
  "schedules are found by job, by pause and by who made them": "an empty list can't be written in an address",
  ...Object.fromEntries(
    [
      "a new schedule is kept as it was given, and its ticks count from now",
      "a schedule whose next tick nobody has worked out counts from its first put",
      ...["cron", "timezone", "dst", "everyMs", "anchorMs", "spreadMs", "startsMs", "endsMs"].map(
        (field) => `a rule with another ${field} takes its next tick from now on`,
      ),
      "a schedule that has ended goes on with another timing",
      "a schedule that has ended goes on with another limit",
      "a one-shot that has ticked ticks again only for another instant",
      "a paused schedule stays paused through a new timing, which counts from its resume",
      "the name of a schedule that code took out is free",
      "a resumed schedule takes its next tick from then on",
      "a one-shot that has ticked stays ended when it is resumed; one that has not goes on",
      "a declared schedule can be removed when no live node has its job, and comes back with its code",
      "declared schedules are there, served at once, and count from now",
      "what comes back counts from then on, and what it did stays",
      "only a new timing moves the next tick of a declared schedule",
      "a rollback: when the newer code's node has left, the older declares again, and a pause stays",
      "a fresh schedule is due, whatever its overlap, with all that a node needs",
      "a schedule made at run time is due whether or not a node has its job",
      "a tick's run has the schedule's input, and is what the node asked for",
    ].map((name) => [name, worked]),
  ),
};

storeSuite("memory over HTTP", (clock) => Promise.resolve(overHttp(memory({ now: clock.nowMs }))), { except });

test("a client triggers by the type of a job, and gets what its handler returns", async () => {
  const { url } = await anApi();
  const client = createClient({ url, token: admin });
  const at = new Date("2030-01-01T00:00:00Z");

  const run = await client.trigger<typeof hello>("hello", { name: "ada", at });

  expect(await run.result({ timeout: "10s" })).toEqual({ text: "hello ada", at });
  expect((await client.runs.get(run.id))!.payload).toEqual({ name: "ada", at });
  expect((await client.runs.list({ job: "hello" })).items.map(({ id }) => id)).toEqual([run.id]);
});

test("what a process configures by the address of a server goes there", async () => {
  const { url, store } = await anApi();
  configure({ url, token: admin });
  try {
    const run = await hello.trigger({ name: "bob" });

    expect(await run.result({ timeout: "10s" })).toEqual({ text: "hello bob" });
    expect((await store.find.list({})).items).toHaveLength(1);
  } finally {
    await closeAll();
  }
});

test("errors are the ones that they were on the server", async () => {
  const { url } = await anApi({ works: false });
  const client = createClient({ url, token: () => admin });
  const trigger = (name: unknown, onConflict: "error" | "return") =>
    client.trigger<typeof hello>(
      "hello",
      { name: name as string },
      { delay: "1h", idempotencyKey: { key: "k", onConflict } },
    );
  const { id } = await trigger("a", "return");

  await expect(trigger("b", "error")).rejects.toBeInstanceOf(KeyConflict);
  await expect(trigger(5, "return")).rejects.toBeInstanceOf(InvalidPayload);
  await expect(client.runs.resume(id)).rejects.toBeInstanceOf(WrongState);
  await expect(client.runs.resume(id)).rejects.toMatchObject({ run: id, status: "pending", name: "WrongState" });
  await expect(client.trigger("helo" as never)).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
});

test("what is wrong with the server, or the token, is said", async () => {
  const { url, close } = await anApi();
  const wrong = createClient({ url, token: "wrong-secret-of-tests" });
  await expect(wrong.runs.list()).rejects.toBeInstanceOf(HttpError);
  await expect(wrong.runs.list()).rejects.toMatchObject({ code: "UNAUTHORIZED", status: 401 });
  await close();

  await expect(createClient({ url, token: admin }).runs.list()).rejects.toBeInstanceOf(StoreUnavailable);
  expect(() => createClient({ url: "postgres://x" })).toThrow('write "https://host"');
  expect(() => createClient({ url: "https://me:secret@x" })).toThrow("takes no user");
});

test("events come over HTTP as they happen", async () => {
  const { url } = await anApi();
  const client = createClient({ url, token: admin });
  const stop = new AbortController();
  const seen: string[] = [];
  const reading = (async () => {
    for await (const event of client.runs.events({ types: ["run.completed"], signal: stop.signal })) {
      seen.push(event.type);
      if (seen.length === 1) stop.abort();
    }
  })();
  while (seen.length === 0) {
    const run = await client.trigger<typeof hello>("hello", { name: "ada" });
    await run.result({ timeout: "10s" });
  }
  await reading;

  expect(seen).toEqual(["run.completed"]);
});
