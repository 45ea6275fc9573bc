import { join } from "node:path";
import { expect, test } from "vitest";
import { settings } from "../../cli/config.ts";
import { locate } from "../../cli/database.ts";
import { BadUsage, FileBroken } from "../../cli/error.ts";
import { flags } from "./given.ts";
import { folder } from "./folder.ts";

test("without file, environment and flags every key has its default", async () => {
  const read = await settings(flags(), {}, folder());

  expect(read).toMatchObject({
    ...{
      databaseUrl: null,
      schema: "tasker",
      prepare: null,
      jobs: ["jobs/"],
      slots: 50,
      queues: {},
      poll: "1s",
      lease: "15s",
      sweep: "5s",
      grace: "30s",
    },
    ...{
      crashes: 3,
      keep: { completed: "7d", other: "30d" },
      timezone: "UTC",
      logLevel: "info",
      logFormat: null,
      telemetry: false,
      app: "app",
      version: "0",
      name: null,
    },
  });
});

test("a flag wins over a variable, a variable over the file, the file over the default", async () => {
  const cwd = folder({
    "tasker.config.mjs": `export default { slots: 1, poll: "2s", grace: "3s", keep: { completed: "1d" } };`,
  });

  const read = await settings(flags({ slots: "3" }), { TASKER_SLOTS: "2", TASKER_POLL: "4s" }, cwd);

  expect(read).toMatchObject({
    slots: 3,
    poll: "4s",
    grace: "3s",
    keep: { completed: "1d", other: "30d" },
    lease: "15s",
  });
  expect(["slots", "poll", "grace", "lease"].map((key) => read.source(key))).toEqual([
    "--slots",
    "TASKER_POLL",
    join(cwd, "tasker.config.mjs"),
    null,
  ]);
});

test("jobs of a config file are relative to that file, those of a flag to the current folder", async () => {
  const cwd = folder({ "conf/app.mjs": `export default { jobs: "work" };` });

  const fromFile = await settings(flags({ config: "conf/app.mjs" }), {}, cwd);
  const fromFlag = await settings(flags({ config: "conf/app.mjs", jobs: "a,b" }), {}, cwd);

  expect([fromFile.jobs, fromFile.base]).toEqual([["work"], join(cwd, "conf")]);
  expect([fromFlag.jobs, fromFlag.base]).toEqual([["a", "b"], cwd]);
});

test("a TypeScript config file is read", async () => {
  const cwd = folder({ "tasker.config.ts": `const slots: number = 7;\nexport default { slots };` });

  const read = await settings(flags(), {}, cwd);

  expect(read.slots).toBe(7);
});

test("queues are read from text and from objects alike", async () => {
  const cwd = folder({ "tasker.config.mjs": `export default { queues: { mail: { concurrency: 5 } } };` });

  const fromFile = await settings(flags(), {}, cwd);
  const fromText = await settings(flags({ queues: "mail=5, default=20" }), {}, cwd);

  expect(fromFile.queues).toEqual({ mail: { concurrency: 5 } });
  expect(fromText.queues).toEqual({ mail: { concurrency: 5 }, default: { concurrency: 20 } });
});

test("a zone is read by flag, variable and key, and takes the name that it is known by", async () => {
  const cwd = folder({ "tasker.config.mjs": `export default { timezone: "America/New_York" };` });

  const zones = await Promise.all([
    settings(flags(), {}, cwd),
    settings(flags(), { TASKER_TIMEZONE: "Asia/Tokyo" }, cwd),
    settings(flags({ timezone: "europe/paris" }), { TASKER_TIMEZONE: "Asia/Tokyo" }, cwd),
  ]);

  expect(zones.map(({ timezone }) => timezone)).toEqual(["America/New_York", "Asia/Tokyo", "Europe/Paris"]);
});

test.each([
  [{ slots: "0" }, /--slots: "0" is not a whole number from 1 on/],
  [{ poll: "5" }, /--poll: "5" is not a duration .*, or "silent"$/],
  [{ "log-level": "loud" }, /--log-level: "loud" is not one of debug, info/],
  [
    { timezone: "Europe/Pariss" },
    /^--timezone: timezone "Europe\/Pariss" is not a zone .* did you mean "Europe\/Paris"/,
  ],
  [{ queues: "mail" }, /--queues: "mail" is not a list of queues/],
  [{ prepare: "maybe" }, /--prepare: "maybe" is not true or false/],
  [{ config: "none.ts" }, /--config: "none.ts" does not exist/],
])("the flags %j are refused by name", async (given, message) => {
  const reading = settings(flags(given), {}, folder());

  await expect(reading).rejects.toThrow(BadUsage);
  await expect(reading).rejects.toThrow(message);
});

test("a key that is none is refused, with one that looks like it", async () => {
  const cwd = folder({ "tasker.config.mjs": `export default { slot: 5 };` });

  const reading = settings(flags(), {}, cwd);

  await expect(reading).rejects.toThrow(
    /"slot" in .*tasker\.config\.mjs is not a key of the configuration; did you mean "slots"\?/,
  );
});

test("a bad value names the variable or the file that it comes from", async () => {
  const cwd = folder({ "tasker.config.mjs": `export default { crashes: "many" };` });

  await expect(settings(flags(), { TASKER_SLOTS: "x" }, cwd)).rejects.toThrow(/^TASKER_SLOTS: "x"/);
  await expect(settings(flags(), {}, cwd)).rejects.toThrow(/^crashes in .*tasker\.config\.mjs: "many"/);
});

test("a config file that throws is named, with its error as cause", async () => {
  const cwd = folder({ "tasker.config.mjs": `throw new Error("no luck");` });

  const error = await settings(flags(), {}, cwd).catch((thrown: unknown) => thrown);

  expect(error).toBeInstanceOf(FileBroken);
  expect(error).toMatchObject({
    message: expect.stringMatching(/tasker\.config\.mjs" can't be loaded: no luck/) as string,
    cause: { message: "no luck" },
  });
});

test("a config file without a default export says what to write", async () => {
  const cwd = folder({ "tasker.config.mjs": `export const config = {};` });

  await expect(settings(flags(), {}, cwd)).rejects.toThrow(/has no default export; write: export default defineConfig/);
});

test("named statements are turned off by flag, variable and key", async () => {
  const cwd = folder({ "tasker.config.mjs": `export default { databaseUrl: "postgres://db/app", prepare: false };` });

  const read = [
    await settings(flags({ prepare: "false" }), {}, folder()),
    await settings(flags(), { TASKER_PREPARE: "false" }, folder()),
    await settings(flags(), {}, cwd),
  ];

  expect(read.map(({ prepare }) => prepare)).toEqual([false, false, false]);
  expect(locate(read[2]!, cwd)).toMatchObject({ prepare: false });
  expect(
    locate(await settings(flags(), { TASKER_DATABASE_URL: "postgres://db/app" }, folder()))?.prepare,
  ).toBeUndefined();
});

test("webhooks are read from JSON, and what can't be read of them is not told", async () => {
  const [hook, secret] = [{ url: "https://example.com", events: ["run.failed"] }, "whsec_c2VjcmV0"];

  const { webhooks } = await settings(flags(), { TASKER_WEBHOOKS: JSON.stringify([{ ...hook, secret }]) }, folder());
  const broken = await settings(flags({ webhooks: `[{"secret":"${secret}"` }), {}, folder()).catch(
    (error: Error) => error,
  );

  expect(webhooks).toEqual([{ ...hook, secret }]);
  expect((broken as Error).message).toBe("--webhooks: webhooks are not JSON");
});
