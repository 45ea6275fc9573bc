import { Writable } from "node:stream";
import { pino } from "pino";
import { expect, test } from "vitest";
import { colors } from "../../cli/view/color.ts";
import { logger, prettify } from "../../cli/view/logger.ts";
import { logged } from "../../runtime/core/log.ts";

const paint = colors({}, {});
const time = new Date(2030, 0, 2, 12, 0, 1, 123).toISOString();

function pretty(entry: object): string {
  return prettify(JSON.stringify({ level: "info", time, pid: 1, hostname: "h", ...entry }), paint);
}

function sink(): { readonly stream: Writable; lines(): readonly string[] } {
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
  return { stream, lines: () => chunks };
}

test("a run's end is one line: time, outcome, run, job, attempt, duration", () => {
  const line = pretty({ msg: "Run completed", run: "run_2f", job: "remind", attempt: 1, duration: "2.1s" });

  expect(line).toBe("12:00:01.123  Run completed  run_2f  remind  attempt 1  2.1s\n");
});

test("other fields follow as key=value", () => {
  expect(pretty({ msg: "Runtime started", jobs: 3, node: "h:1" })).toBe(
    "12:00:01.123  Runtime started  jobs=3  node=h:1\n",
  );
});

test("what a handler logged is indented, with its run and data", () => {
  const line = pretty({ msg: "greeting", run: "run_2f", job: "hello", attempt: 1, data: { name: "Ada" } });

  expect(line).toBe(`12:00:01.123    | greeting  run_2f  name=Ada\n`);
});

test.each([
  [{ name: "Ada Lovelace", count: 3, none: null }, 'name="Ada Lovelace"  count=3  none=null'],
  [{ user: { id: 7 } }, 'data={"user":{"id":7}}'],
  [{ "a b": 1 }, 'data={"a b":1}'],
  [{}, "data={}"],
  [[1, 2], "data=[1,2]"],
  ["text", 'data="text"'],
  [{ name: "a\u001b[2Jb" }, "name=a\\u001b[2Jb"],
])("the data %j of a handler's line is shown as %s", (data, shown) => {
  expect(pretty({ msg: "hi", run: "run_2f", job: "hello", attempt: 1, data })).toBe(
    `12:00:01.123    | hi  run_2f  ${shown}\n`,
  );
});

test("a line of a run that executes a hook says whose", () => {
  const hook = { kind: "success", of: "run_2e" };

  expect(pretty({ msg: "Run completed", run: "run_2f", job: "hello", attempt: 1, duration: "2ms", hook })).toBe(
    "12:00:01.123  Run completed  run_2f  hello  (hook success of run_2e)  attempt 1  2ms\n",
  );
  expect(pretty({ msg: "sent", run: "run_2f", job: "hello", attempt: 1, hook })).toBe(
    "12:00:01.123    | sent  run_2f  (hook success of run_2e)\n",
  );
});

test("what a schedule did is a line of the engine, not of a handler", () => {
  const tick = "2030-01-02T12:00:00.000Z";

  expect(pretty({ msg: "Schedule ticked", schedule: "remind@user:7", tick, run: "run_2f" })).toBe(
    `12:00:01.123  Schedule ticked  run_2f  schedule=remind@user:7  tick=${tick}\n`,
  );
  expect(pretty({ level: "warn", msg: "Schedule skipped a tick", schedule: "remind", tick, reason: "overlap" })).toBe(
    `12:00:01.123  Schedule skipped a tick  schedule=remind  tick=${tick}  reason=overlap\n`,
  );
});

test("an error shows its first frames, without those of Node", () => {
  const stack =
    "Error: boom\n    at handler (/app/job.ts:1:2)\n    at AsyncLocalStorage.run (node:async_hooks:346:14)\n    at run (node:internal/process:1:1)";

  expect(
    pretty({
      level: "error",
      msg: "Run failed",
      run: "run_2f",
      job: "a",
      attempt: 1,
      err: { type: "Error", message: "boom", stack },
    }),
  ).toBe(
    "12:00:01.123  Run failed  run_2f  a  attempt 1\n              Error: boom\n                  at handler (/app/job.ts:1:2)\n",
  );
});

test("nothing that is logged steers the terminal or looks like another line", () => {
  const bad = "\u001b[2Jgone\n12:00:00.000  Run completed\u009b";

  for (const entry of [
    { msg: bad, run: "run_1" },
    { msg: "x", run: bad, job: bad, attempt: bad, duration: bad },
    { msg: "x", run: "run_1", hook: { kind: bad, of: bad } },
    { msg: "x", [bad]: bad, data: { name: bad } },
    { msg: "x", level: "error", err: { type: bad, message: bad, stack: bad } },
  ]) {
    const line = pretty(entry);

    expect(line).not.toMatch(/[\u001b\u009b]/);
    expect(line).not.toMatch(/^12:00:00/m);
  }
});

test("JSON logs hold no raw control characters, and say the same", () => {
  const { stream, lines } = sink();

  logger({ logLevel: "info", logFormat: "json" }, stream).info({ tag: "\u009b\u001b\u202e" }, "x");

  expect(lines()[0]).not.toMatch(/[\u001b\u009b\u202e]/);
  expect(JSON.parse(lines()[0]!)).toMatchObject({ tag: "\u009b\u001b\u202e" });
});

test("a line that is no JSON stays as it is", () => {
  expect(prettify("hello\n", paint)).toBe("hello\n");
});

test("off a terminal the log is JSON, with level names, ISO time and errors in full", () => {
  const { stream, lines } = sink();

  logger({ logLevel: "info", logFormat: null }, stream).error({ err: new TypeError("boom"), jobs: 3 }, "Sweep failed");

  expect(JSON.parse(lines()[0]!)).toMatchObject({
    level: "error",
    jobs: 3,
    msg: "Sweep failed",
    err: { type: "TypeError", message: "boom", stack: expect.stringContaining("TypeError: boom\n") as string },
  });
});

test("passwords are taken out of both formats", () => {
  for (const logFormat of ["json", "pretty"] as const) {
    const { stream, lines } = sink();

    logger({ logLevel: "info", logFormat }, stream).info(
      { url: "postgres://a:s3cret@db/x" },
      "at postgres://a:s3cret@db/x",
    );

    expect(lines().join("")).not.toContain("s3cret");
  }
});

test("lines below the level are not written", () => {
  const { stream, lines } = sink();

  logger({ logLevel: "warn", logFormat: "json" }, stream).info({}, "Run completed");

  expect(lines()).toEqual([]);
});

test("a line of the engine has its error in the shape of pino's serializer, in JSON and with a pino that an application hands in", () => {
  const cause = new Error("why");
  const line = { err: logged(new TypeError("boom", { cause })) };
  const [ours, theirs] = [sink(), sink()];

  logger({ logLevel: "info", logFormat: "json" }, ours.stream).error(line, "Run failed");
  pino(theirs.stream).error(line, "Run failed");

  for (const { lines } of [ours, theirs]) {
    const { err } = JSON.parse(lines()[0]!) as { readonly err: { readonly stack: string } };
    expect(Object.keys(err)).toEqual(["type", "message", "stack"]);
    expect(err).toMatchObject({ type: "TypeError", message: "boom" });
    expect(err.stack).toMatch(/^TypeError: boom\n {4}at [^]*\ncaused by: Error: why\n/);
  }
});
