import { expect, test } from "vitest";
import { InvalidInput, JobNotFound } from "../../sdk/port/error.ts";
import { ActFailed, BadUsage, FileBroken, describe as describeError, document, exitCode } from "../../cli/error.ts";
import { redact } from "../../cli/view/redact.ts";

test("a wrong command line exits with 2, everything else with 1", () => {
  expect([new BadUsage("x"), new InvalidInput("x")].map(exitCode)).toEqual([2, 2]);
  expect(
    [new ActFailed("x"), new FileBroken("x"), new JobNotFound("a", []), new Error("x"), "x"].map(exitCode),
  ).toEqual([1, 1, 1, 1, 1]);
});

test("an error is one line, without a stack unless it is asked for", () => {
  const error = new Error("first\nsecond", { cause: new TypeError("why") });

  expect(describeError(error, false)).toBe("error: first second");
  expect(describeError(error, true)).toMatch(/^error: first second\n {2}Error: first\n[^]*TypeError: why\n/);
});

test("a document keeps the code of our own errors", () => {
  expect(document(new JobNotFound("helo", ["hello"], ["hello"]))).toEqual({
    error: { code: "JOB_NOT_FOUND", message: expect.stringContaining('did you mean "hello"?') as string },
  });
  expect(document(new Error("x"))).toEqual({ error: { code: "UNEXPECTED", message: "x" } });
});

test.each([
  ["postgres://app:s3cret@db:5432/app", "postgres://app:***@db:5432/app"],
  ["at postgres://app:p@ss@db/app, at once", "at postgres://app:***@db/app, at once"],
  ["postgres://db/app?user=a&password=s3cret&x=1", "postgres://db/app?user=a&password=***&x=1"],
  ["host=db password=s3cret", "host=db password=***"],
  ["postgres://db:5432/app", "postgres://db:5432/app"],
  ["postgres://app:@db/app", "postgres://app:***@db/app"],
  ["from postgres://a:one@db/x to postgres://b:two@db/y", "from postgres://a:***@db/x to postgres://b:***@db/y"],
  ["url 'postgres://a:one@db/x', user@host", "url 'postgres://a:***@db/x', user@host"],
  ["see https://example.org/a@b", "see https://example.org/a@b"],
])("%s is printed as %s", (text, shown) => {
  expect(redact(text)).toBe(shown);
});

test.each([
  ["one long word before a URL", (n: number) => `${"a1".repeat(n / 2)} postgres://app:s3cret@db/app`],
  ["one long word within a URL", (n: number) => `postgres://app:s3cret@db/${"a1".repeat(n / 2)}`],
  ["many beginnings of a password", (n: number) => "://a:".repeat(n / 5)],
  ["many beginnings of a URL", (n: number) => "x://".repeat(n / 4)],
  ["many names of a password", (n: number) => "?password=".repeat(n / 10)],
])("a megabyte is redacted in no time: %s", (_what, make) => {
  const text = make(1_000_000);

  const start = performance.now();
  const shown = redact(text);

  expect(performance.now() - start).toBeLessThan(1000); // 50 ms on a slow machine; what is quadratic takes minutes
  expect(shown).not.toContain("s3cret");
});

test("errors never show a password", () => {
  const error = new Error("can't reach postgres://app:s3cret@db/app", {
    cause: new Error("postgres://app:s3cret@db/app"),
  });

  expect(describeError(error, true)).not.toContain("s3cret");
  expect(JSON.stringify(document(error))).not.toContain("s3cret");
});
