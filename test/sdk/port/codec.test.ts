import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decode, encode, largestBytes } from "../../../sdk/port/codec.ts";
import { InvalidInput, NotStorable } from "../../../sdk/port/error.ts";

/** Whether jsonb would take the text: it parses, and holds neither NUL nor half a surrogate pair. */
function castsToJsonb(text: string): boolean {
  let good = true;
  const look = (part: string): void => void (good &&= !part.includes("\0") && part.isWellFormed());
  JSON.parse(text, (key, value: unknown) => {
    look(key);
    if (typeof value === "string") look(value);
    return value;
  });
  return good && text.isWellFormed();
}

function throughStore(value: unknown): unknown {
  const wire = encode(value, "payload");
  if (!castsToJsonb(wire.json) || (wire.meta !== null && !castsToJsonb(wire.meta)))
    throw new Error("jsonb would refuse it");
  return decode(wire);
}

function refusal(value: unknown): NotStorable {
  try {
    encode(value, "payload");
  } catch (error) {
    if (error instanceof NotStorable) return error;
  }
  throw new Error("it was not refused");
}

/** An object nested `levels` deep. */
function nested(levels: number): object {
  return levels === 1 ? {} : { in: nested(levels - 1) };
}

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.constantFrom("a.b", "\\", "a\\.b", "", "constructor", "prototype", "0"),
);
const leaf = fc.oneof(
  ...[text, fc.double(), fc.integer(), fc.boolean(), fc.bigInt(), fc.date({ noInvalidDate: true }), fc.uint8Array()],
  fc.constantFrom(
    null,
    undefined,
    NaN,
    Infinity,
    -0,
    "\0",
    "\ud800",
    "a\udfffb",
    new URL("https://a.example/x?y=1"),
    /a.b/giu,
  ),
);
const { value: rich } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(
      text.filter((key) => !key.includes("\0") && key.isWellFormed() && key !== "__proto__"),
      tie("value"),
      { maxKeys: 4, noNullPrototype: true },
    ),
    fc.array(fc.tuple(tie("value"), tie("value")), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    fc.array(tie("value"), { maxLength: 3 }).map((items) => new Set(items)),
  ),
}));

describe("encode and decode", () => {
  test("plain JSON is stored as it is, without a note of types", () => {
    const value = { a: [1, "two", null, { b: true }], "": -1.5 };

    const wire = encode(value, "payload");

    expect(wire).toEqual({ json: JSON.stringify(value), meta: null });
  });

  test("any JSON comes back as it was", () => {
    const json = fc
      .jsonValue({ stringUnit: "binary" })
      .filter((value) => !/"[^"]*\\u(?:0000|d[89a-f])[^"]*":/.test(JSON.stringify(value)));
    fc.assert(fc.property(json, (value) => void expect(throughStore(value)).toEqual(value)));
  });

  test("any rich value comes back as it was, in texts that jsonb takes", () => {
    fc.assert(
      fc.property(rich, (value) => isDeepStrictEqual(throughStore(value), value)),
      { numRuns: 1000 },
    ); // Node's: vitest's reads `constructor`
  });

  test("every string of one UTF-16 unit survives, alone and within a text", () => {
    for (let unit = 0; unit <= 0xffff; unit++) {
      const value = `a${String.fromCharCode(unit)}b`;
      if (throughStore(value) !== value) throw new Error(`U+${unit.toString(16)} did not survive`);
    }
    const all = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i * 256));

    expect(throughStore(all)).toEqual(all);
  });

  test.each([
    ["undefined", undefined],
    ["null", null],
    ["a Date", new Date(1)],
    ["a bigint", 10n ** 30n],
    ["-0", -0],
  ])("%s may be the whole value", (_, value) => {
    expect(throughStore(value)).toStrictEqual(value);
  });

  test("bytes come back as bytes, and a Buffer as a Buffer", () => {
    const back = throughStore([new Uint8Array([0, 255]), Buffer.from("hi")]) as [unknown, unknown];

    expect(back[0]).toStrictEqual(new Uint8Array([0, 255]));
    expect(Buffer.isBuffer(back[1])).toBe(true);
    expect(back[1]).toEqual(Buffer.from("hi"));
  });

  test("an error keeps its class, message, stack, cause and fields", () => {
    const error = Object.assign(new TypeError("no \0 good", { cause: new Error("why") }), {
      code: "E1",
      at: new Date(5),
    });

    const back = throughStore(error) as typeof error;

    expect(back).toBeInstanceOf(TypeError);
    expect({ ...back }).toEqual({ code: "E1", at: new Date(5) });
    expect([back.message, back.stack, (back.cause as Error).message]).toEqual([error.message, error.stack, "why"]);
  });

  test("an error of the author's own class comes back with its name", () => {
    class CardDeclined extends Error {
      override name = "CardDeclined";
    }

    const back = throughStore(new CardDeclined("no funds")) as Error;

    expect([back.name, back.message, back instanceof Error]).toEqual(["CardDeclined", "no funds", true]);
  });

  test("a part that occurs twice is stored twice", () => {
    const part = { at: new Date(0) };

    expect(throughStore([part, part])).toEqual([part, part]);
    expect(throughStore({ a: [1], b: { c: [1] } })).toEqual({ a: [1], b: { c: [1] } });
  });

  test("own keys that could reach a prototype are data, beside rich values too", () => {
    const plain: unknown = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
    const withDate = { ...(JSON.parse('{"constructor":"Ferrari"}') as object), at: new Date(0) };
    const own = Object.defineProperty({ at: 1n }, "__proto__", {
      value: { polluted: 1n },
      enumerable: true,
      configurable: true,
      writable: true,
    });

    expect(throughStore(plain)).toEqual(plain);
    expect(throughStore(withDate)).toEqual(withDate);
    expect(Object.keys(throughStore(own) as object)).toEqual(["at", "__proto__"]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe("what can't be stored is refused by its path", () => {
  const circle: { name: string; list: unknown[] } = { name: "x", list: [] };
  circle.list.push({ back: circle });
  class Account {
    balance = 1;
  }
  const cases: readonly (readonly [string, unknown, string, string])[] = [
    ["a function", { a: { f: () => 1 } }, "payload.a.f", "is a function"],
    ["a symbol", [1, Symbol("s")], "payload.1", "is a symbol"],
    ["a circle", { circle }, "payload.circle.list.0.back", "refers back"],
    ["an instance of a class", { a: new Account() }, "payload.a", "instance of class Account"],
    ["an array of a class", { a: new (class List extends Array {})() }, "payload.a", "instance of a class"],
    ["another typed array", { a: new Float64Array(1) }, "payload.a", "Float64Array"],
    ["a promise", { a: Promise.resolve() }, "payload.a", "Promise"],
    ["an invalid Date", { at: new Date(Number.NaN) }, "payload.at", "invalid Date"],
    ["a hole", [1, , 3], "payload.1", "hole"],
    ["a function in a Map", { m: new Map([["k", () => 1]]) }, "payload.m.1", "is a function"],
    ["a function in an Error", { e: Object.assign(new Error("x"), { f: () => 1 }) }, "payload.e.f", "is a function"],
    ["NUL in a key", { a: { "b\0": 1 } }, "payload.a.b\ufffd", "key"],
    ["a lone surrogate in a key", { "\ud800": 1 }, "payload.\ufffd", "key"],
  ];

  test.each(cases)("%s", (_, value, path, problem) => {
    const error = refusal(value);

    expect(error.message).toContain(`${path} `);
    expect(error.message).toContain(problem);
  });

  test("what can't be read, by its path", () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();

    expect(refusal({ deep: proxy }).message).toMatch(/^payload\.deep can't be read \(.*revoked\); pass plain data$/);
  });

  test("a getter that throws, with what it threw", () => {
    const value = {
      get secret() {
        throw new Error("locked");
      },
    };

    expect(refusal(value).message).toContain("payload.secret has a getter that throws (locked)");
  });

  test("the 65th level", () => {
    expect(throughStore(nested(64))).toEqual(nested(64));
    expect(refusal(nested(65)).message).toContain("64 levels");
  });

  test("more than 256 KiB, note of types included", () => {
    const most = "x".repeat(largestBytes - 2);

    expect(encode(most, "payload").json).toHaveLength(largestBytes);
    expect(refusal(`${most}x`).message).toBe("payload is larger than 256 KiB; store it elsewhere and pass its id");
    expect(() => encode("\u20ac".repeat(100_000), "payload")).toThrow("256 KiB");
    expect(() => encode(Array(12_000).fill(new Date(0)), "payload")).toThrow("256 KiB");
  });

  test("a small graph that unfolds into a huge tree, in bounded time", () => {
    let value: unknown = {};
    for (let i = 0; i < 60; i++) value = [value, value];

    expect(refusal(value).message).toContain("256 KiB");
  });

  test("an array that claims four billion items, in bounded time", () => {
    expect(refusal(new Array(2 ** 32 - 1)).message).toContain("256 KiB");
  });
});

describe("a hostile note of types is refused", () => {
  const cases: readonly (readonly [string, string, unknown])[] = [
    ["a typed array of a chosen length", "1e9", [["typed-array", "Float64Array"]]],
    ["a class", "{}", [["class", "X"]]],
    ["a symbol", "{}", [["symbol", "x"]]],
    ["an unknown rule", "{}", [["custom", "constructor"]]],
    ["a name on Object.prototype", "{}", ["constructor"]],
    ["a path to a prototype", "{}", { "__proto__.polluted": ["Date"] }],
    ["a path over a constructor", "{}", { "constructor.prototype.polluted": ["Date"] }],
    ["a hidden child", "[[1]]", ["set", { "0": [["class", "X"]] }]],
    ["an empty note", "{}", []],
    ["no object", "{}", 7],
    ["a Map of no pairs", "5", ["map"]],
    ["a bigint of no digits", '"x"', ["bigint"]],
    ["an invalid URL", '"x"', ["URL"]],
  ];

  test.each(cases)("%s", (_, json, meta) => {
    expect(() => decode({ json, meta: JSON.stringify(meta) })).toThrow(InvalidInput);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test("a note nested without end", () => {
    expect(() => decode({ json: "{}", meta: `${'{"a":'.repeat(100_000)}["Date"]${"}".repeat(100_000)}` })).toThrow(
      InvalidInput,
    );
  });

  test("any JSON as note either decodes or is refused, and never pollutes", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (json, meta) => {
        try {
          decode({ json: JSON.stringify(json), meta: JSON.stringify(meta) });
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInput);
        }
        expect(Object.keys(Object.prototype)).toEqual([]);
      }),
    );
  });

  test("text that is no JSON", () => {
    expect(() => decode({ json: "{", meta: null })).toThrow(InvalidInput);
  });
});
