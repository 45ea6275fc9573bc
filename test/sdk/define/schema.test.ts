import type { StandardSchemaV1 } from "@standard-schema/spec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { decode, encode } from "../../../sdk/port/codec.ts";
import { lift, type JsonSchema } from "../../../sdk/define/lift.ts";
import { check, checkJson, isSchema, jsonSchemaOf } from "../../../sdk/define/schema.ts";

/** What a handler would see: the input through the store, parsed once. */
async function seen(schema: z.ZodType, input: unknown): Promise<unknown> {
  const stored = decode(encode(input, "payload"));
  const answer = await check(schema, stored);
  if (answer.issues) throw new Error(JSON.stringify(answer.issues));
  return answer.value;
}

/** Features of zod, each with inputs that it takes. */
const features: readonly (readonly [string, z.ZodType, fc.Arbitrary<unknown>])[] = [
  ["transform", z.string().transform((text) => text.length), fc.string()],
  ["asynchronous transform", z.string().transform(async (text) => text.length), fc.string()],
  ["coerced number", z.coerce.number(), fc.oneof(fc.integer(), fc.integer().map(String))],
  [
    "coerced date",
    z.coerce.date(),
    fc
      .date({ noInvalidDate: true, min: new Date(0), max: new Date("2100-01-01") })
      .chain((at) => fc.constantFrom<unknown>(at, at.getTime(), at.toISOString())),
  ],
  [
    "coerced boolean",
    z.coerce.boolean(),
    fc.anything({ maxDepth: 0, withBigInt: true, withDate: false }).filter((value) => typeof value !== "symbol"),
  ],
  [
    "default",
    z.object({ a: z.number().default(3), b: z.date().default(new Date(7)) }),
    fc.record({ a: fc.integer() }, { requiredKeys: [] }),
  ],
  ["prefault", z.object({ a: z.string().trim().prefault(" x ") }), fc.record({ a: fc.string() }, { requiredKeys: [] })],
  ["catch", z.object({ a: z.number().catch(0) }), fc.record({ a: fc.oneof(fc.integer(), fc.string()) })],
  ["brand", z.string().brand<"id">(), fc.string()],
  [
    "optional and nullable",
    z.object({ a: z.date().optional(), b: z.bigint().nullable() }),
    fc.record({ a: fc.option(fc.date({ noInvalidDate: true }), { nil: undefined }), b: fc.option(fc.bigInt()) }),
  ],
  [
    "map and set",
    z.map(z.string(), z.set(z.date())),
    fc
      .array(
        fc.tuple(
          fc.string(),
          fc.array(fc.date({ noInvalidDate: true })).map((dates) => new Set(dates)),
        ),
      )
      .map((pairs) => new Map(pairs)),
  ],
  ["bytes", z.instanceof(Uint8Array), fc.uint8Array()],
  [
    "union",
    z.union([z.date(), z.string(), z.bigint()]),
    fc.oneof(fc.date({ noInvalidDate: true }), fc.string(), fc.bigInt()),
  ],
  [
    "discriminated union",
    z.discriminatedUnion("t", [
      z.object({ t: z.literal("a"), at: z.date() }),
      z.object({ t: z.literal("b"), n: z.bigint() }),
    ]),
    fc.oneof(
      fc.record({ t: fc.constant("a"), at: fc.date({ noInvalidDate: true }) }),
      fc.record({ t: fc.constant("b"), n: fc.bigInt() }),
    ),
  ],
  ["pipe", z.string().transform(Number).pipe(z.number().int()), fc.integer().map(String)],
  ["preprocess", z.preprocess((value) => String(value), z.string()), fc.oneof(fc.integer(), fc.boolean())],
  [
    "codec",
    z.codec(z.iso.datetime(), z.date(), { decode: (text) => new Date(text), encode: (at) => at.toISOString() }),
    fc.date({ noInvalidDate: true, min: new Date(0), max: new Date("2100-01-01") }).map((at) => at.toISOString()),
  ],
  ["refinement", z.number().refine((n) => n % 2 === 0), fc.integer().map((n) => n * 2)],
  [
    "strip and passthrough",
    z.object({ a: z.looseObject({ b: z.date() }), c: z.object({}) }),
    fc.record({
      a: fc.record({ b: fc.date({ noInvalidDate: true }), x: fc.bigInt() }),
      c: fc.record({ y: fc.integer() }),
    }),
  ],
  [
    "recursion",
    z.object({
      value: z.date(),
      get next() {
        return z.object({ value: z.bigint() }).optional();
      },
    }),
    fc.record(
      { value: fc.date({ noInvalidDate: true }), next: fc.record({ value: fc.bigInt() }) },
      { requiredKeys: ["value"] },
    ),
  ],
  [
    "tuple, record, enum",
    z.tuple([z.enum(["a", "b"]), z.record(z.string(), z.date())]),
    fc.tuple(
      fc.constantFrom("a", "b"),
      fc.dictionary(
        fc.string({ unit: "grapheme-ascii" }).filter((key) => key !== "__proto__"),
        fc.date({ noInvalidDate: true }),
      ),
    ),
  ],
  ["stringbool", z.stringbool(), fc.constantFrom("yes", "no", "true", "0")],
];

describe("the handler sees z.output of what was triggered", () => {
  test.each(features)("%s", async (_, schema, inputs) => {
    await fc.assert(
      fc.asyncProperty(inputs, async (input) => {
        const expected: unknown = await schema.parseAsync(input);

        expect(await seen(schema, input)).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  test.each(features)("%s: plain JSON Schema never refuses it", async (_, schema, inputs) => {
    const json = jsonSchemaOf(schema)!;

    await fc.assert(
      fc.asyncProperty(inputs, async (input) => void expect(await checkJson(json, input)).toEqual([])),
      { numRuns: 20 },
    );
  });

  test("a transform runs once", async () => {
    let calls = 0;

    await seen(
      z.string().transform((text) => (calls++, text)),
      "x",
    );

    expect(calls).toBe(1);
  });
});

describe("check", () => {
  test("a schema that turned out to be asynchronous runs its transforms once, too", async () => {
    let calls = 0;
    const schema = z.object({
      a: z.string().transform((text) => (calls++, text)),
      b: z.string().refine(async (text) => Promise.resolve(text !== "bad")),
    });
    await check(schema, { a: "x", b: "y" });

    calls = 0;
    const good = await check(schema, { a: "x", b: "y" });
    const bad = await check(schema, { a: "x", b: "bad" });

    expect(calls).toBe(2);
    expect(good).toEqual({ value: { a: "x", b: "y" } });
    expect(bad.issues).toMatchObject([{ path: "b" }]);
  });

  test("complaints have dotted paths", async () => {
    const schema = z.object({ user: z.object({ tags: z.array(z.string()) }), n: z.number() });

    const answer = await check(schema, { user: { tags: ["a", 1] } });

    expect(answer.issues?.map(({ path }) => path)).toEqual(["user.tags.1", "n"]);
  });

  test("path segments that are objects are read, and the whole has the empty path", async () => {
    const answer = (path?: readonly (PropertyKey | { key: PropertyKey })[]): StandardSchemaV1 => ({
      "~standard": {
        version: 1,
        vendor: "test",
        validate: () => ({ issues: [{ message: "no", ...(path && { path }) }] }),
      },
    });

    expect((await check(answer([{ key: "a" }, 0]), 1)).issues).toEqual([{ path: "a.0", message: "no" }]);
    expect((await check(answer(), 1)).issues).toEqual([{ path: "", message: "no" }]);
  });

  test("only Standard Schemas are schemas", () => {
    expect(
      [z.string(), Object.assign(() => 1, { "~standard": { validate: () => ({ value: 1 }) } })].map(isSchema),
    ).toEqual([true, true]);
    expect([null, undefined, {}, { parse: () => 1 }, "string", { "~standard": {} }].map(isSchema)).toEqual([
      false,
      false,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe("jsonSchemaOf", () => {
  test("describes the natural JSON of the input", () => {
    const schema = z.object({
      id: z.uuid(),
      at: z.date(),
      n: z.bigint().optional(),
      tags: z.set(z.string()),
      any: z.coerce.number(),
    });

    const json = JSON.parse(jsonSchemaOf(schema)!) as { properties: Record<string, JsonSchema>; required: string[] };

    expect(json.properties["at"]).toEqual({ type: "string", format: "date-time", "x-type": "Date" });
    expect(json.properties["n"]).toEqual({ type: "string", pattern: "^-?\\d+$", "x-type": "bigint" });
    expect(json.properties["tags"]).toEqual({ type: "array", "x-type": "Set" });
    expect(json.properties["any"]).toEqual({});
    expect(json.required).toEqual(["id", "at", "tags"]);
  });

  test("is null where a library can't tell, or throws", () => {
    const validate = (): { value: unknown } => ({ value: 1 });
    const mute: StandardSchemaV1 = { "~standard": { version: 1, vendor: "mute", validate } };
    const broken = {
      "~standard": {
        version: 1,
        vendor: "x",
        validate,
        get jsonSchema(): never {
          throw new Error("no");
        },
      },
    } as StandardSchemaV1;

    expect([jsonSchemaOf(mute), jsonSchemaOf(broken), jsonSchemaOf(z.literal("\0"))]).toEqual([null, null, null]);
  });

  test("never throws for any kind of zod schema", () => {
    const all = [
      z.any(),
      z.unknown(),
      z.never(),
      z.void(),
      z.nan(),
      z.symbol(),
      z.null(),
      z.custom(),
      z.function(),
      z.promise(z.string()),
      z.file(),
      z.lazy(() => z.date()),
      z.literal([1n, undefined, "a"]),
      z.templateLiteral(["a", z.number()]),
    ];

    for (const schema of all) expect(() => jsonSchemaOf(schema as z.ZodType)).not.toThrow();
  });
});

describe("checkJson", () => {
  const json = jsonSchemaOf(
    z.object({
      id: z.uuid(),
      at: z.date(),
      n: z.number().min(2).optional(),
      list: z.array(z.object({ a: z.string() })),
    }),
  )!;

  test("names each wrong field once", async () => {
    const issues = await checkJson(json, { id: "x", at: "soon", n: 1, list: [{ a: 1 }] });

    expect(issues.map(({ path }) => path)).toEqual(["id", "at", "n", "list.0.a"]);
  });

  test("takes Dates and their text alike, and undefined as left out", async () => {
    const id = "8f14e45f-ceea-467f-ab24-cc7b7b3c4b12";

    expect(await checkJson(json, { id, at: new Date(0), n: undefined, list: [] })).toEqual([]);
    expect(await checkJson(json, { id, at: "1970-01-01T00:00:00.000Z", list: [] })).toEqual([]);
  });

  test("lets through what it can't read", async () => {
    expect(await checkJson("not JSON", 1)).toEqual([]);
    expect(await checkJson('{"not":{"type":"string"},"if":{},"then":{}}', "x")).toEqual([]);
  });
});

describe("lift", () => {
  const lifted = (schema: z.ZodType, value: unknown): unknown =>
    lift(JSON.parse(jsonSchemaOf(schema)!) as JsonSchema, value);

  test("plain JSON becomes what the schema takes", async () => {
    const schema = z.object({
      at: z.date(),
      big: z.bigint().nullable(),
      list: z.array(z.object({ on: z.date().optional() })),
      pair: z.tuple([z.string(), z.date()]),
      rec: z.record(z.string(), z.bigint()),
      map: z.map(z.string(), z.number()),
      set: z.set(z.number()),
    });
    const plain = {
      at: "2030-01-01T00:00:00Z",
      big: "12",
      list: [{ on: "2030-01-02" }, {}],
      pair: ["2030-01-03", "2030-01-03"],
      rec: { a: 5 },
      map: [["k", 1]],
      set: [1, 2],
    };

    const value = lifted(schema, plain);

    expect(value).toEqual({
      at: new Date("2030-01-01"),
      big: 12n,
      list: [{ on: new Date("2030-01-02") }, {}],
      pair: ["2030-01-03", new Date("2030-01-03")],
      rec: { a: 5n },
      map: new Map([["k", 1]]),
      set: new Set([1, 2]),
    });
    expect((await check(schema, value)).issues).toBeUndefined();
  });

  test("alternatives are told apart by type, constants and required fields", () => {
    const union = z.union([
      z.object({ kind: z.literal("a"), at: z.date() }),
      z.object({ kind: z.literal("b"), at: z.string() }),
      z.object({ when: z.date() }),
    ]);

    expect(lifted(union, { kind: "a", at: "2030-01-01" })).toEqual({ kind: "a", at: new Date("2030-01-01") });
    expect(lifted(union, { kind: "b", at: "2030-01-01" })).toEqual({ kind: "b", at: "2030-01-01" });
    expect(lifted(union, { when: "2030-01-01" })).toEqual({ when: new Date("2030-01-01") });
    expect(lifted(z.union([z.date(), z.string()]), "2030-01-01")).toBe("2030-01-01");
    expect(lifted(z.union([z.date(), z.null()]), null)).toBeNull();
  });

  test("both sides of an intersection, and references, are followed", () => {
    const tree: z.ZodType = z.object({
      at: z.date(),
      get kids() {
        return z.array(tree);
      },
    });

    expect(
      lifted(z.intersection(z.object({ a: z.date() }), z.object({ b: z.bigint() })), { a: "2030-01-01", b: 1 }),
    ).toEqual({ a: new Date("2030-01-01"), b: 1n });
    expect(lifted(tree, { at: "2030-01-01", kids: [{ at: "2030-01-02", kids: [] }] })).toEqual({
      at: new Date("2030-01-01"),
      kids: [{ at: new Date("2030-01-02"), kids: [] }],
    });
  });

  test("what is no instant or whole number stays as it is, and so does what is rich already", () => {
    const schema = z.object({ at: z.date(), n: z.bigint() });
    const rich = { at: new Date(0), n: 1n };

    expect(lifted(schema, { at: "tomorrow", n: "1.5" })).toEqual({ at: "tomorrow", n: "1.5" });
    expect(lifted(schema, rich)).toBe(rich);
    expect(lifted(schema, "text")).toBe("text");
  });

  test("hostile keys are data", () => {
    const value = lifted(z.record(z.string(), z.bigint()), JSON.parse('{"__proto__":"1","constructor":"2"}'));

    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.entries(value as object)).toEqual([
      ["__proto__", 1n],
      ["constructor", 2n],
    ]);
  });
});
