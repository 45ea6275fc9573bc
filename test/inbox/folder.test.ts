import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  appendFileSync,
  chmodSync,
} from "node:fs";
import { join } from "node:path";
import { onTestFinished, describe, expect, test } from "vitest";
import { createRuntime, type Runtime, type RuntimeStats } from "../../runtime/runtime.ts";
import type { RuntimeOptions } from "../../runtime/setting.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { InvalidInput, StoreUnavailable } from "../../sdk/port/error.ts";
import { decode } from "../../sdk/port/codec.ts";
import { fakeClock } from "../../runtime/testing/clock.ts";
import { until } from "../kit/until.ts";
import { folder, mail, runsOf } from "./kit.ts";

interface Opened {
  readonly dir: string;
  readonly runtime: Runtime;
  readonly lines: {
    readonly level: string;
    readonly message: string;
    readonly fields: Readonly<Record<string, unknown>>;
  }[];
  counts(): NonNullable<RuntimeStats["inbox"]>;
  /** Puts a file in at once, as a rename does. */
  put(name: string, content: unknown): void;
  ns(): Promise<readonly unknown[]>;
  stop(): Promise<void>;
}

type Inbox = Partial<NonNullable<RuntimeOptions["inbox"]>>;

/** A runtime whose inbox is a folder of its own. Its runs wait for an hour, unless they say otherwise. */
async function opened(
  inbox: Inbox = {},
  {
    dir = folder(),
    store = memory(),
    clock,
    jobs = [mail],
  }: { dir?: string } & Partial<Pick<RuntimeOptions, "store" | "clock" | "jobs">> = {},
): Promise<Opened> {
  const lines: Opened["lines"] = [];
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, message, fields: { ...fields } });
  const logger = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  const runtime = createRuntime({ store, jobs, logger, clock, inbox: { dir, ...inbox } });
  const stop = (): Promise<void> => runtime.stop({ grace: "1s" });
  onTestFinished(stop);
  await runtime.start();
  return {
    ...{ dir, runtime, lines, stop },
    counts: () => runtime.stats().inbox!,
    put(name, content) {
      const draft = join(dir, `.${Math.random()}`);
      writeFileSync(draft, typeof content === "string" ? content : JSON.stringify(content));
      renameSync(draft, join(dir, name));
    },
    ns: async () => (await runsOf(runtime.store)).map(({ input }) => (decode(input) as { n?: number }).n),
  };
}

const anItem = (n: number, more: object = {}) => ({ job: "mail", payload: { to: "a", n }, delay: "1h", ...more });
const files = (dir: string): readonly string[] =>
  readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((name) => !name.startsWith(".") && statSync(join(dir, name)).isFile())
    .sort();

async function settled({ counts }: Opened, wanted: Partial<ReturnType<Opened["counts"]>>): Promise<void> {
  const isThere = (): boolean =>
    Object.entries(wanted).every(([key, value]) => counts()[key as keyof typeof wanted] === value);
  await until(isThere, { what: () => `${JSON.stringify(wanted)} of ${JSON.stringify(counts())}`, timeoutMs: 20_000 });
}

describe("an inbox", () => {
  test("loads what is there at the start, and what comes, and archives it", async () => {
    const dir = folder({
      "first.json": JSON.stringify([anItem(1), anItem(2)]),
      "notes.txt": "no job file",
      ".hidden.json": "{",
    });
    const inbox = await opened({}, { dir });
    await settled(inbox, { loaded: 1 });

    inbox.put(
      "second.jsonl",
      `${JSON.stringify(anItem(3))}\n${JSON.stringify(anItem(4, { cron: "0 9 * * *", delay: undefined }))}\n`,
    );
    await settled(inbox, { loaded: 2 });

    expect(await inbox.ns()).toEqual([1, 2, 3]);
    expect(files(dir)).toEqual(["archive/first.json", "archive/second.jsonl", "notes.txt"]);
    expect(inbox.counts()).toEqual({ loaded: 2, again: 0, refused: 0, runs: 3, schedules: 1 });
    expect(inbox.lines.filter(({ message }) => message === "Job file loaded").map(({ fields }) => fields)).toEqual([
      { file: "first.json", runs: 2, existed: 0, schedules: 0, took: expect.any(String) },
      { file: "second.jsonl", runs: 1, existed: 0, schedules: 1, took: expect.any(String) },
    ]);
  });

  test("moves a bad file to errors/, beside a text that names file, line and reason, and stops no other", async () => {
    const inbox = await opened();

    inbox.put(
      "bad.json",
      `[\n  ${JSON.stringify(anItem(1))},\n  {"job": "mial", "payload": {}},\n  {"job": "mail", "payload": {"to": 7}}\n]`,
    );
    inbox.put("good.json", anItem(2));
    await settled(inbox, { loaded: 1, refused: 1 });

    expect(await inbox.ns()).toEqual([2]);
    expect(files(inbox.dir)).toEqual(["archive/good.json", "errors/bad.json", "errors/bad.json.txt"]);
    expect(readFileSync(join(inbox.dir, "errors/bad.json.txt"), "utf8")).toMatch(
      /^bad\.json:3: job "mial" is not known .*did you mean "mail"\?\nbad\.json:4: payload\.to: .*\n\n2 of 3 items are wrong, so nothing of the file was made\./,
    );
    expect(inbox.lines).toContainEqual({
      level: "warn",
      message: "Job file refused",
      fields: { file: "bad.json", items: 3, refused: 2, why: expect.stringMatching(/^bad\.json:3: job "mial"/) },
    });
  });

  test("loads a refused file that was mended and moved back", async () => {
    const inbox = await opened();
    inbox.put("a.json", '{"job":"mail"}');
    await settled(inbox, { refused: 1 });

    inbox.put("a.json", anItem(1));
    await settled(inbox, { loaded: 1 });
    inbox.put("a.json", '{"job":"mail" }');
    await settled(inbox, { refused: 2 });

    expect(files(inbox.dir)).toEqual([
      "archive/a.json",
      expect.stringMatching(/^errors\/a\.[0-9a-f]{8}\.json$/),
      expect.stringMatching(/^errors\/a\.[0-9a-f]{8}\.json\.txt$/),
      "errors/a.json",
      "errors/a.json.txt",
    ]);
  });

  test.each(["archive", "delete", "keep"] as const)("loads a content once, whatever its names: %s", async (after) => {
    const inbox = await opened({ after });
    inbox.put("a.json", anItem(1));
    await settled(inbox, { loaded: 1 });

    inbox.put("b.json", anItem(1));
    await settled(inbox, { again: 1 });
    await inbox.stop();
    const second = await opened({ after }, { dir: inbox.dir }); // a new store: the folder remembers
    second.put("c.json", anItem(1));
    await settled(second, { again: after === "keep" ? 3 : 1 });

    expect(await second.ns()).toEqual([]);
    expect(files(inbox.dir)).toEqual(
      {
        archive: ["archive/a.json", "archive/b.json", "archive/c.json"],
        delete: [],
        keep: ["a.json", "b.json", "c.json"],
      }[after],
    );
  });

  test("that keeps files loads one again once its content is another", async () => {
    const inbox = await opened({ after: "keep" });
    inbox.put("a.json", [anItem(1, { id: "x" })]);
    await settled(inbox, { loaded: 1 });

    inbox.put("a.json", [anItem(1, { id: "x" }), anItem(2, { id: "y" })]);
    await settled(inbox, { loaded: 2 });

    expect(await inbox.ns()).toEqual([1, 2]);
  });

  test.each(["archive", "keep"] as const)(
    "does not refuse what was loaded before, also if its job is gone: %s",
    async (after) => {
      const inbox = await opened({ after: "keep" });
      inbox.put("a.json", anItem(1));
      await settled(inbox, { loaded: 1 });
      await inbox.stop();

      const second = await opened({ after }, { dir: inbox.dir, jobs: [] });
      await settled(second, { again: 1 });

      expect(files(inbox.dir)).toEqual([after === "keep" ? "a.json" : "archive/a.json"]);
      expect(second.counts().refused).toBe(0);
    },
  );

  test("waits for a file that is being written, however it is cut", async () => {
    const inbox = await opened();
    const text = `${JSON.stringify([anItem(1), anItem(2)])}\n`;
    const path = join(inbox.dir, "slow.json");
    writeFileSync(path, text.slice(0, 60));
    utimesSync(path, new Date(0), new Date(0)); // as if it had stood still for long
    inbox.put("whole.json", anItem(3));
    await settled(inbox, { loaded: 1 });

    appendFileSync(path, text.slice(60));
    await settled(inbox, { loaded: 2 });

    expect(await inbox.ns()).toEqual([3, 1, 2]);
    expect(inbox.counts().refused).toBe(0);
  });

  test("refuses a file that ends too soon once it has stood still for long", async () => {
    const clock = fakeClock();
    const inbox = await opened({}, { clock });

    inbox.put("cut.json", JSON.stringify([anItem(1)]).slice(0, -1));
    inbox.put("empty.json", "");
    const startMs = clock.nowMs();
    await until(() => (clock.advance("100ms"), inbox.counts().refused === 2), { what: "both are refused" });

    expect(clock.nowMs() - startMs).toBeGreaterThan(10_000);
    const why = (name: string): string => readFileSync(join(inbox.dir, "errors", name), "utf8");
    expect(why("cut.json.txt")).toMatch(/^cut\.json:1: the file ends without the "\]" of its list\n/);
    expect(why("empty.json.txt")).toMatch(/^empty\.json:1: the file is empty\n/);
  });

  test("refuses links, and follows none", async () => {
    const outside = folder({ "secret.json": JSON.stringify(anItem(1)) });
    const dir = folder();
    symlinkSync(join(outside, "secret.json"), join(dir, "link.json"));
    symlinkSync(outside, join(dir, "folder"));
    const inbox = await opened({ recursive: true }, { dir });
    await settled(inbox, { refused: 1 });

    expect(await inbox.ns()).toEqual([]);
    expect(readFileSync(join(dir, "errors/link.json.txt"), "utf8")).toMatch(
      /^it is a link, and links are not followed/,
    );
    expect(readdirSync(outside)).toEqual(["secret.json"]);
    expect(existsSync(join(dir, "link.json"))).toBe(false);
  });

  test("writes nothing over a link that stands in place of its folders", async () => {
    const outside = folder();
    const dir = folder();
    symlinkSync(outside, join(dir, "errors"));
    const inbox = await opened({}, { dir });

    inbox.put("bad.json", "[7]");
    await until(() => inbox.lines.some(({ message }) => message.startsWith("Job file can't be dealt with")), {
      what: "it is told",
    });

    expect(readdirSync(outside)).toEqual([]);
    expect(existsSync(join(dir, "bad.json"))).toBe(true);
  });

  test("takes folders below only if it is told to, and files by its pattern", async () => {
    const tree = (): string => {
      const dir = folder();
      mkdirSync(join(dir, "below/deep"), { recursive: true });
      writeFileSync(join(dir, "below/deep/a.json"), JSON.stringify(anItem(1)));
      writeFileSync(join(dir, "top.json"), JSON.stringify(anItem(2)));
      writeFileSync(join(dir, "top.job"), JSON.stringify(anItem(3)));
      return dir;
    };

    const flat = await opened({}, { dir: tree() });
    const deep = await opened({ recursive: true }, { dir: tree() });
    const named = await opened({ recursive: true, pattern: "{top.job,below/**/*.json}" }, { dir: tree() });
    await Promise.all([settled(flat, { loaded: 1 }), settled(deep, { loaded: 2 }), settled(named, { loaded: 2 })]);

    expect(files(flat.dir)).toEqual(["archive/top.json", "below/deep/a.json", "top.job"]);
    expect(files(deep.dir)).toEqual(["archive/below/deep/a.json", "archive/top.json", "top.job"]);
    expect(files(named.dir)).toEqual(["archive/below/deep/a.json", "archive/top.job", "top.json"]);
  });

  test("without watch ends with what was there", async () => {
    const dir = folder({ "a.json": JSON.stringify(anItem(1)) });
    const inbox = await opened({ watch: false }, { dir });
    await settled(inbox, { loaded: 1 });

    inbox.put("b.json", anItem(2));
    await inbox.stop();

    expect(files(dir)).toEqual(["archive/a.json", "b.json"]);
  });

  test("loads 1,000 files at once", { timeout: 60_000 }, async () => {
    const inbox = await opened();

    for (let n = 0; n < 1000; n++) inbox.put(`f${n}.json`, anItem(n));
    await settled(inbox, { loaded: 1000 });

    expect((await inbox.ns()).toSorted((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 1000 }, (_, n) => n),
    );
    expect(files(inbox.dir).every((name) => name.startsWith("archive/"))).toBe(true);
  });

  test("goes on once the store is back, and loads each file once", async () => {
    const store = memory();
    let calls = 0;
    const flaky: Guarded = {
      ...store,
      add: async (batch, tx) => {
        const answers = await store.add(batch, tx);
        if (++calls === 1) throw new StoreUnavailable("the store", "gone"); // it was written, and the answer was lost
        return answers;
      },
    };
    const inbox = await opened({}, { store: flaky });

    inbox.put("a.json", [anItem(1), anItem(2)]);
    await settled(inbox, { loaded: 1 });

    expect(calls).toBe(2);
    expect(await inbox.ns()).toEqual([1, 2]);
  });

  test("tells what the store refuses of a file, and does not load the rest again", async () => {
    const inbox = await opened();
    await inbox.runtime.store.nodes.publish(0, []);
    const declared = { ...anItem(2, { delay: undefined }), cron: "@daily", id: "taken" };
    const bare = inbox.runtime.store.schedules;
    Object.assign(inbox.runtime.store, {
      schedules: {
        ...bare,
        put: async (batch: readonly unknown[]) => batch.map(() => new InvalidInput("no room for it")),
      },
    });

    inbox.put("a.json", [anItem(1), declared]);
    await settled(inbox, { refused: 1 });
    inbox.put("b.json", [anItem(1), declared]);
    await settled(inbox, { again: 1 });

    expect(await inbox.ns()).toEqual([1]);
    expect(readFileSync(join(inbox.dir, "errors/a.json.txt"), "utf8")).toBe(
      "a.json:1: no room for it\n\nThe store refused these items; of the others 1 runs and 0 schedules were made, and 0 runs were there already.\n",
    );
  });

  test("gives what it writes the modes of what it writes it for", async () => {
    const dir = folder();
    chmodSync(dir, 0o750);
    const inbox = await opened({}, { dir });

    inbox.put("bad.json", "[7]");
    chmodSync(join(dir, "bad.json"), 0o640);
    await settled(inbox, { refused: 1 });

    const mode = (name: string): string => (statSync(join(dir, name)).mode & 0o777).toString(8);
    expect(["errors", ".tasker-inbox", "errors/bad.json", "errors/bad.json.txt"].map(mode)).toEqual([
      "750",
      "750",
      "640",
      "640",
    ]);
  });

  test("names files so that they can't steer a terminal, nor leave their folder", async () => {
    const inbox = await opened();
    const name = "..\u001b[31m\n\u202e evil.json";

    inbox.put(`x${name}`, "[7]");
    await settled(inbox, { refused: 1 });

    const { fields } = inbox.lines.find(({ message }) => message === "Job file refused")!;
    expect(fields["file"]).toBe("x..\ufffd[31m\ufffd\ufffd evil.json");
    expect(files(inbox.dir)).toEqual(["errors/x..__31m__ evil.json", "errors/x..__31m__ evil.json.txt"]);
  });

  test("says that anybody may write to it", async () => {
    const dir = folder();
    chmodSync(dir, 0o777);

    const inbox = await opened({}, { dir });

    expect(inbox.lines.filter(({ level }) => level === "warn").map(({ message }) => message)).toEqual([
      "Anybody on this machine may write to the inbox, and so start jobs",
    ]);
  });

  test.each([
    [{ dir: undefined }, /inbox has no dir/],
    [{ dir: "x", folder: "y" }, /inbox has no option "folder"/],
    [{ dir: "x", after: "burn" }, /inbox\.after "burn" is not one of archive, delete, keep/],
    [{ dir: "x", archiveDir: "." }, /inbox\.archiveDir ".*" is inbox\.dir or above it/],
    [{ dir: "x", errorDir: ".." }, /inbox\.errorDir ".*" is inbox\.dir or above it/],
  ])("%j is refused", (inbox, message) => {
    expect(() => createRuntime({ store: memory(), inbox: inbox as never })).toThrow(message);
  });

  test("that can't be used keeps the runtime from starting, and says why", async () => {
    const dir = join(folder({ file: "" }), "file");
    const runtime = createRuntime({ store: memory(), inbox: { dir } });

    await expect(runtime.start()).rejects.toThrow(/^inbox\.dir ".*\/file" can't be used: .*make it writable/);
    expect(runtime.state).toBe("stopped");
  });
});
