import fc from "fast-check";
import { expect, test } from "vitest";
import { clean, errorRecord, isClean, revive } from "../../../sdk/port/text.ts";

test("any text becomes clean, at most as long as asked, and clean text that fits stays as it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 4, max: 64 }), (text, bytes) => {
      const cleaned = clean(text, bytes);

      expect(isClean(cleaned)).toBe(true);
      expect(Buffer.byteLength(cleaned)).toBeLessThanOrEqual(bytes);
      if (isClean(text) && Buffer.byteLength(text) <= bytes) expect(cleaned).toBe(text);
    }),
  );
});

test("a character that would be cut is dropped", () => {
  expect(clean("aa€", 4)).toBe("aa");
});

test("an error is recorded by name, message and stack", () => {
  const error = new RangeError("too far");

  expect(errorRecord(error)).toEqual({ name: "RangeError", message: "too far", stack: error.stack });
});

test("NUL and lone surrogates are replaced, and lengths are capped", () => {
  const record = errorRecord(
    Object.assign(new Error(`a\0b\ud800${"x".repeat(100_000)}`), { stack: "\0".repeat(100_000) }),
  );

  expect(record.message.startsWith("a\ufffdb\ufffdx")).toBe(true);
  expect(Buffer.byteLength(record.message)).toBeLessThanOrEqual(4096);
  expect(Buffer.byteLength(record.stack!)).toBeLessThanOrEqual(16_384);
  expect(isClean(record.message) && isClean(record.stack!)).toBe(true);
});

test("causes follow in the stack, also circular ones and those that are no errors", () => {
  const inner: Error = new Error("inner", { cause: "a string" });
  const loop: Error = new Error("loop");
  loop.cause = loop;

  const record = errorRecord(new Error("outer", { cause: inner }));

  expect(record.stack).toMatch(/Error: outer[^]*\ncaused by: Error: inner[^]*\ncaused by: a string$/);
  expect(errorRecord(loop).stack).toContain("caused by: Error: loop");
});

test("an AggregateError without a message tells those of its parts", () => {
  const error = new AggregateError([
    new Error("connect ECONNREFUSED ::1"),
    new Error("connect ECONNREFUSED 127.0.0.1"),
  ]);

  expect(errorRecord(error).message).toBe("connect ECONNREFUSED ::1; connect ECONNREFUSED 127.0.0.1");
});

const trap = new Proxy(
  {},
  {
    get: () => {
      throw new Error("no");
    },
    getPrototypeOf: () => {
      throw new Error("no");
    },
  },
);
const getter = Object.defineProperty(new Error("x"), "message", {
  get() {
    throw new Error("no");
  },
});
test.each([
  ["undefined", undefined, "undefined was thrown"],
  ["null", null, "null was thrown"],
  ["a string", "boom", "boom was thrown"],
  ["an object", { code: 7 }, "{ code: 7 } was thrown"],
  ["a function", () => 1, "was thrown"],
  ["a frozen error", Object.freeze(new Error("cold")), "cold"],
  ["an error whose getter throws", getter, ""],
  ["a proxy that throws at everything", trap, "was thrown"],
  [
    "an object that throws when it is shown",
    {
      [Symbol.for("nodejs.util.inspect.custom")]() {
        throw new Error("no");
      },
    },
    "was thrown",
  ],
])("%s may be thrown", (_, thrown, message) => {
  expect(errorRecord(thrown).message).toContain(message);
});

test("a revived error has the name, message and stack of the original", () => {
  const original = new TypeError("bad");

  const error = revive(errorRecord(original));

  expect([error.name, error.message, error.stack]).toEqual(["TypeError", "bad", original.stack]);
  expect(revive({ name: "E", message: "m", stack: null }).stack).toBe("E: m");
});
