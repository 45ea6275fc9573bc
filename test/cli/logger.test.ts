import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { colors } from "../../cli/color.ts";
import { logger, prettify } from "../../cli/logger.ts";

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

  expect(line).toBe(`12:00:01.123    | greeting  run_2f  data={"name":"Ada"}\n`);
});

test("an error shows its first frames, without those of Node", () => {
  const error = "Error: boom\n    at handler (/app/job.ts:1:2)\n    at run (node:internal/process:1:1)";

  expect(pretty({ level: "error", msg: "Run failed", run: "run_2f", job: "a", attempt: 1, error })).toBe(
    "12:00:01.123  Run failed  run_2f  a  attempt 1\n              Error: boom\n                  at handler (/app/job.ts:1:2)\n",
  );
});

test("escape sequences in what is logged don't reach the terminal", () => {
  expect(pretty({ msg: "\u001b[2Jgone", run: "run_1" })).not.toContain("\u001b");
});

test("a line that is no JSON stays as it is", () => {
  expect(prettify("hello\n", paint)).toBe("hello\n");
});

test("off a terminal the log is JSON, with level names, ISO time and errors in full", () => {
  const { stream, lines } = sink();

  logger({ logLevel: "info", logFormat: null }, stream).error(
    { error: new TypeError("boom"), jobs: 3 },
    "Sweep failed",
  );

  expect(JSON.parse(lines()[0]!)).toMatchObject({
    level: "error",
    jobs: 3,
    msg: "Sweep failed",
    error: { type: "TypeError", message: "boom" },
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
