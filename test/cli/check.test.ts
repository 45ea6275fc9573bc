import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { check } from "../../cli/command/check.ts";
import { Journals } from "../../cli/check/journal.ts";
import type { Report } from "../../cli/check/report.ts";
import { settings } from "../../cli/config.ts";
import { output } from "../../cli/view/output.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import type { Context } from "../../sdk/define/context.ts";
import { defineJob } from "../../sdk/job.ts";
import { encode } from "../../sdk/port/codec.ts";
import { createRuntime } from "../../runtime/runtime.ts";
import { aRun, aSchedule, only } from "../kit/build.ts";
import { freshDatabase, type Database } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { aRecord } from "../sdk/client/recorder.ts";
import { folder } from "./folder.ts";
import { flags } from "./given.ts";
import { writer } from "./writer.ts";

const sdk = fileURLToPath(new URL("../../sdk/job.ts", import.meta.url));
const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const zod = import.meta.resolve("zod");

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

/** The source of a job file. */
function file(...lines: readonly string[]): string {
  return [
    `import { defineJob } from ${JSON.stringify(sdk)};`,
    `import { z } from ${JSON.stringify(zod)};`,
    ...lines,
  ].join("\n");
}
/** The source of a job with this schema. */
function job(id: string, schema: string, more = ""): string {
  return `export const ${id} = defineJob({ id: "${id}", schema: ${schema}, ${more} handler: () => { throw new Error("was run"); } });`;
}

async function query(text: string): Promise<void> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query(text);
  await client.end();
}

interface Answer {
  readonly code: number;
  readonly text: string;
}
type Flags = Readonly<Record<string, string | true>>;

/** `tasker check` in a folder with these files, and its exit code. */
async function run(
  files: Readonly<Record<string, string>>,
  given: Flags = {},
  env: NodeJS.ProcessEnv = {},
): Promise<Answer> {
  const cwd = folder({ "package.json": `{"type":"module"}`, ...files });
  const to = writer();
  const code = await check.run({
    args: [],
    given: flags(given),
    out: output("json" in given, to),
    settings: () => settings(flags(given), env, cwd),
  });
  return { code: code ?? 0, text: to.text() };
}
async function json(
  files: Readonly<Record<string, string>>,
  given: Flags = {},
): Promise<Report & { readonly ok: boolean; readonly code: number }> {
  const { code, text } = await run(files, { ...given, json: true });
  return { ...(JSON.parse(text) as Report & { ok: boolean }), code };
}
const messages = (list: Report["errors"]): readonly string[] => list.map(({ message }) => message);

/** A store in a schema of its own, migrated. */
async function stored<T>(schema: string, act: (store: Guarded) => Promise<T>): Promise<Flags> {
  const store = postgres({ url: database.url, schema });
  await store.open();
  await act(store);
  await store.close();
  return { "database-url": database.url, schema };
}

test("good jobs are listed with the next ticks of their schedules, none is run, and the exit code is 0", async () => {
  const schedule = `schedule: [{ key: "far", cron: () => "0 0 1 1 *", timezone: "Europe/Paris" }, { key: "once", runAt: new Date("2001-01-01") }],`;

  const { ok, code, jobs, errors, warnings, notes, pending } = await json({
    "jobs/a.ts": file(job("yearly", "z.void()", schedule), job("plain", "z.object({})")),
  });

  expect([ok, code, errors, warnings, pending]).toEqual([true, 0, [], [], null]);
  expect(jobs.map(({ id }) => id)).toEqual(["plain", "yearly"]);
  expect(jobs[1]!.schedules).toEqual([
    {
      id: "yearly@far",
      rule: "0 0 1 1 *  Europe/Paris",
      next: expect.stringMatching(/^\d{4}-12-31T23:00:00\.000Z$/) as string,
    },
    { id: "yearly@once", rule: "once", next: null },
  ]);
  expect(messages(notes)).toEqual([expect.stringMatching(/^no database is known, so pending runs were not checked/)]);
});

test("every broken file is told, and what else is wrong beside it", async () => {
  const { code, jobs, errors } = await json({
    "jobs/a.ts": file(job("good", "z.object({})"), job("odd", "z.void()", `schedule: { cron: () => "61 * * * *" },`)),
    "jobs/b.ts": `const x: = 1;`,
    "jobs/c.ts": `import "no-such-package";`,
    "jobs/d.ts": `throw new Error("no mailer at postgres://u:s3cret@h/db");`,
    "jobs/e.ts": file(job("good", "z.object({})")),
    "jobs/f.ts": file(job("cron", "z.void()", `schedule: { cron: "0 0 30 2 *" },`)),
  });

  expect([code, jobs.map(({ id }) => id)]).toEqual([1, ["good", "odd"]]);
  expect(messages(errors)).toEqual([
    expect.stringMatching(/jobs\/b\.ts" can't be loaded: /),
    expect.stringMatching(/jobs\/c\.ts" can't be loaded: .*no-such-package/),
    expect.stringMatching(/jobs\/d\.ts" can't be loaded: no mailer at postgres:\/\/u:\*\*\*@h\/db/),
    expect.stringMatching(/job "good" is given twice in .*jobs\/a\.ts and in .*jobs\/e\.ts/),
    expect.stringMatching(/jobs\/f\.ts" can't be loaded: job "cron": cron "0 0 30 2 \*": /),
    `schedule "odd": cron "61 * * * *": minute "61" is not within 0-59`,
  ]);
  expect(errors[2]!.stack).toMatch(/^\s+at .*d\.ts:1:\d+/);
});

test(
  "a file that ends the process, kills it, blocks it, never finishes or throws late is an error, and the others are still loaded",
  { timeout: 60_000 },
  async () => {
    const { code, jobs, errors } = await json(
      {
        "jobs/a.ts": file(job("before", "z.void()")),
        "jobs/exit.ts": `\n  process.exit(0);`,
        "jobs/forever.ts": `await new Promise(() => undefined);`,
        "jobs/kill.ts": `process.kill(process.pid, "SIGKILL"); await new Promise(() => setInterval(() => undefined, 1000));`,
        "jobs/late.ts": `await new Promise((r) => setTimeout(() => { setTimeout(r); throw new Error("too late"); }));`,
        "jobs/loop.ts": `for (;;);`,
        "jobs/open.ts": `setInterval(() => undefined, 1000);`,
        "jobs/z.ts": file(job("after", "z.void()")),
      },
      { patience: "3s" },
    );

    expect([code, jobs.map(({ id }) => id)]).toEqual([1, ["after", "before"]]);
    expect(messages(errors)).toEqual([
      expect.stringMatching(/jobs\/exit\.ts" called process\.exit\(0\) at .*exit\.ts:\d+:\d+ when it was imported/),
      expect.stringMatching(/jobs\/forever\.ts" waits for a promise that never settles/),
      expect.stringMatching(/jobs\/kill\.ts" ended the process \(SIGKILL\)/),
      expect.stringMatching(/jobs\/loop\.ts" kept the process for more than 3s/),
      expect.stringMatching(/an error that nobody caught while ".*late\.ts" was loaded: too late/),
    ]);
  },
);

/** `tasker check --json` as a process of its own. */
async function launched(
  cwd: string,
): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  const loader = import.meta.resolve("tsx");
  const child = spawn(process.execPath, ["--import", loader, main, "check", "--json", "--offline"], { cwd });
  const text = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => (text.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (text.err += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...text };
}

test("what a job file prints goes to stderr, so that stdout is one document", async () => {
  const source = file(`console.log("hello");`, job("talks", "z.void()"));

  const { code, out, err } = await launched(folder({ "package.json": `{"type":"module"}`, "jobs/a.ts": source }));

  expect([code, (JSON.parse(out) as { ok: boolean }).ok, err]).toEqual([0, true, expect.stringContaining("hello")]);
});

test("a config file that ends the process fails the check", async () => {
  const cwd = folder({ "tasker.config.mjs": "process.exit(0);", "jobs/a.mjs": file(job("one", "z.void()")) });

  const { code, err } = await launched(cwd);

  expect([code, err]).toEqual([1, expect.stringContaining("the config file ended the process")]);
});

test("pending runs that the new schema refuses are told in groups, and those of vanished jobs are a warning", async () => {
  const given = await stored("refused", async (store) => {
    const at = new Date("2030-01-01");
    const runs = [{ at: "soon" }, { at: "later" }, { at: "never" }, { at: "x" }, { at }, {}, { user: 1 }];
    await store.add(runs.map((payload) => aRun({ job: "remind", input: encode(payload, "payload"), delayMs: 60_000 })));
    await store.add([aRun({ job: "old" }), aRun({ job: "old" })]);
    await store.schedules.put([
      aSchedule({ job: "remind", key: "user:7", input: encode({ at: 5 }, "payload") }),
      aSchedule({ job: "gone", key: "a" }),
    ]);
  });

  const files = { "jobs/a.ts": file(job("remind", `z.object({ at: z.date("bad date") })`)) };
  const { code, errors, warnings, pending } = await json(files, given);
  const { text } = await run(files, given);

  expect(code).toBe(1);
  expect(messages(errors)).toEqual([
    expect.stringMatching(
      /^deploying this would break 6 pending runs of "remind": payload\.at: bad date \(run_\w+, run_\w+, run_\w+ …\)$/,
    ),
    `deploying this would break 1 schedule of "remind": payload.at: bad date (remind@user:7)`,
  ]);
  expect(messages(warnings)).toEqual([
    `1 schedule of "gone": no job of that id; its runs would wait until a node has it`,
    `2 pending runs of "old": no job of that id; they would wait until a node has it`,
  ]);
  expect(pending).toMatchObject({ checked: 7, broken: 6, schedules: { checked: 1, broken: 1 } });
  expect(text).toMatch(
    /error {4}deploying this would break 6 pending runs[^]*\n1 job, 7 pending runs and 1 schedule parsed: 2 errors, 2 warnings\n$/,
  );
});

test(
  "schemas that answer late, throw or end the process are handled, and each run is looked at over all pages",
  { timeout: 60_000 },
  async () => {
    const given = await stored("handled", async (store) => {
      const many = Array.from({ length: 450 }, (_, n) => aRun({ job: "late", input: encode({ n }, "payload") }));
      await store.add(many);
      await store.add([aRun({ job: "throws" }), aRun({ job: "exits" })]);
    });

    const { errors, pending } = await json(
      {
        "jobs/a.ts": file(
          job("late", `z.object({ n: z.number() }).refine(async ({ n }) => n !== 3, "three")`),
          job("throws", `z.object({}).transform(() => { throw new Error("no such field"); })`),
          job("exits", `z.object({}).transform(() => process.exit(3))`),
        ),
      },
      given,
    );

    expect(messages(errors)).toEqual([
      expect.stringMatching(/^job "exits" called process\.exit\(3\) at .*a\.ts:\d+:\d+ when it was asked/),
      expect.stringMatching(/^deploying this would break 1 pending run of "late": payload: three \(run_\w+\)$/),
      expect.stringMatching(/^deploying this would break 1 pending run of "throws": its schema throws: no such field/),
    ]);
    expect(pending).toMatchObject({ checked: 451, broken: 2 });
  },
);

test("checking changes nothing, and a schema that is missing is said and not made", async () => {
  const given = { "database-url": database.url, schema: "nowhere" };

  const { ok, notes, pending } = await json({ "jobs/a.ts": file(job("one", "z.void()")) }, given);
  const again = await json({ "jobs/a.ts": file(job("one", "z.void()")) }, given);

  expect([ok, pending, again.notes]).toEqual([true, null, notes]);
  expect(only(messages(notes))).toMatch(
    /^the database has no schema "nowhere" yet, so nothing is pending; .* tasker migrate$/,
  );
});

test("of a schema that is older the runs are checked as far as it goes, and its age is a warning", async () => {
  const given = await stored("older", (store) => store.add([aRun({ job: "one", input: encode(1, "payload") })]));
  const files = { "jobs/a.ts": file(job("one", "z.void()")) };
  await query("drop table older.schedules; delete from older.migrations where name >= '002'");

  const known = await json(files, given);
  await query("alter table older.runs rename column meta to other");
  const unknown = await json(files, given);

  const age = expect.stringMatching(/^the schema is older than this version \(missing: 002/) as string;
  expect(messages(known.errors)).toEqual([expect.stringMatching(/^deploying this would break 1 pending run of "one"/)]);
  expect(messages(known.warnings)).toEqual([age]);
  expect([unknown.code, unknown.pending, messages(unknown.warnings)]).toEqual([
    0,
    null,
    [age, expect.stringMatching(/^pending runs were not checked: .*tasker migrate/)],
  ]);
});

test("a database that was named and is away is an error; with --offline it is not looked at", async () => {
  const files = { "jobs/a.ts": file(job("one", "z.void()")) };
  const given = { "database-url": "postgres://127.0.0.1:1/none" };

  const away = await json(files, given);
  const offline = await json(files, { ...given, offline: true });

  expect([away.code, messages(away.errors)]).toEqual([
    1,
    [expect.stringMatching(/^pending runs were not checked: .*can't be reached/)],
  ]);
  expect([offline.code, offline.errors, offline.pending]).toEqual([0, [], null]);
});

test("the database of a dev that has gone away is a note", async () => {
  const note = JSON.stringify({ url: "postgres://127.0.0.1:1/none", pid: process.pid });
  const cwd = folder({ "jobs/a.mjs": file(job("one", "z.void()")), ".tasker/dev.json": note });
  const { locate } = await import("../../cli/database.ts");
  const { inspect } = await import("../../cli/check/process.ts");
  const chosen = locate(await settings(flags(), {}, cwd), cwd)!;

  const { errors, notes } = await inspect(
    { files: [`${cwd}/jobs/a.mjs`], timezone: "UTC", database: { ...chosen, named: false }, leftOut: [] },
    30_000,
  );

  expect([errors, messages(notes)]).toEqual([
    [],
    [expect.stringMatching(/^pending runs were not checked: .*can't be reached/)],
  ]);
});

test("a config that can't be right fails the check, as does a project without jobs", async () => {
  const wrong = await json({ "tasker.config.mjs": `export default { slots: "many" };`, "jobs/a.ts": "" });
  const none = await json({ "jobs/a.ts": "export {};" });

  expect([wrong.code, messages(wrong.errors)]).toEqual([
    1,
    [expect.stringMatching(/^slots in .*: "many" is not a whole number/)],
  ]);
  expect([none.code, messages(none.errors)]).toEqual([
    1,
    [expect.stringMatching(/^no jobs in jobs\/: 1 file, none of which/)],
  ]);
});

test("warnings fail with --strict alone", async () => {
  const schedule = `schedule: { every: "1h", endsAt: new Date("2001-01-01") },`;
  const files = { "jobs/a.ts": file(job("ended", "z.void()", schedule)) };

  const plain = await json(files);
  const strict = await json(files, { strict: true });

  expect([plain.code, strict.code, strict.ok]).toEqual([0, 1, false]);
  expect(messages(plain.warnings)).toEqual([`schedule "ended" ticks no more: its endsAt has passed; take it out`]);
});

test("of each job as many journals are replayed as are asked for, of runs that wait and are not parked", async () => {
  const { flow } = memory();
  const journals = new Journals(flow, 2);
  const code = defineJob({ id: "a", schema: z.unknown(), handler: () => null });
  const other = defineJob({ id: "b", schema: z.unknown(), handler: () => Promise.reject(new Error("no mailer")) });
  const waiting = { status: "waiting", reason: "signal" } as const;

  for (let id = 1; id <= 5; id++) await journals.judge(aRecord({ id, job: "a", ...waiting }), code);
  const verdict = await journals.judge(aRecord({ job: "b", ...waiting }), other);
  await journals.judge(aRecord({ job: "b", ...waiting, reason: "parked" }), other);
  await journals.judge(aRecord({ job: "b", status: "pending" }), other);

  expect(verdict).toEqual({ parks: false, why: "no mailer" });
  expect(journals.counts).toEqual({ checked: 3, broken: 0, left: 3 });
});

test("journals of runs that wait are replayed against the code, no step is called, and what would be parked is told", async () => {
  const waits = async (_: unknown, ctx: Context): Promise<void> => {
    await ctx.step("charge", () => new Date(5));
    await ctx.sleep("5ms");
    await ctx.waitFor("paid");
  };
  const ids = ["fits", "differs", "differs", "unclear", "exits"];
  const given = await stored("journals", async (store) => {
    const jobs = [...new Set(ids)].map((id) => defineJob({ id, schema: z.unknown(), handler: waits }));
    const runtime = createRuntime({ store, jobs });
    await runtime.start();
    await store.add(ids.map((id) => aRun({ job: id })));
    const waiting = async (): Promise<boolean> =>
      (await store.find.list({ reason: ["signal"] })).items.length === ids.length;
    await until(waiting, { what: "all to wait" });
    await runtime.stop();
  });
  const order = (id: string, ...lines: readonly string[]): string =>
    `export const ${id} = defineJob({ id: "${id}", schema: z.unknown(), handler: async (_, ctx) => { ${lines.join("\n")} } });`;
  const never = "() => process.exit(4)";
  const files = {
    "jobs/a.ts": file(
      order(
        "fits",
        `const at = await ctx.step("charge", ${never});`,
        `await ctx.sleep("5ms"); at.getTime();`,
        `await ctx.waitFor("paid");`,
        `await ctx.step("mail", ${never});`,
      ),
      order("differs", `await ctx.step("pay", ${never});`),
      order("unclear", `await ctx.mailer.send();`, `await ctx.step("charge", ${never});`),
      order("exits", `process.exit(3);`),
    ),
  };

  const { code, errors, notes, pending } = await json(files, given);
  const { text } = await run(files, given);

  expect(code).toBe(1);
  expect(messages(errors)).toEqual([
    expect.stringMatching(
      /^job "exits" called process\.exit\(3\) at .*a\.ts:\d+:\d+ when it was asked.* replay a journal$/,
    ),
    expect.stringMatching(
      /^deploying this would park 2 waiting runs of "differs": its journal goes on with step "charge" at 1 \(.*check\.test\.ts:\d+\), but the code asks for step "pay" \(jobs\/a\.ts:\d+\) \(run_\w+, run_\w+\)$/,
    ),
  ]);
  expect(messages(notes)).toEqual([
    expect.stringMatching(
      /^whether this code fits the journals of 1 waiting run of "unclear" can't be told: .*send.* \(run_\w+\)$/,
    ),
  ]);
  expect(pending).toMatchObject({ checked: 4, broken: 0, journals: { checked: 4, broken: 2 } });
  expect(text).toContain("4 pending runs and 0 schedules parsed, 4 journals replayed: 2 errors");
});
