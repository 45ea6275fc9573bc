import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { z, type ZodType } from "zod";
import { declarations } from "../../cli/command/types.ts";
import { typeOf } from "../../cli/types/print.ts";
import { ofJob } from "../../cli/types/source.ts";
import { defineJob } from "../../sdk/job.ts";
import type { JsonSchema } from "../../sdk/define/lift.ts";
import { createRuntime } from "../../runtime/runtime.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { freshDatabase } from "../kit/database.ts";
import { complaints } from "./compile.ts";
import { folder } from "./folder.ts";
import { tasker } from "./line.ts";

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const zod = import.meta.resolve("zod");

/** The whole type of what a schema takes, or gives, in one line; with the types that it refers to. */
function typed(schema: ZodType, side: "input" | "output" = "input"): readonly string[] {
  const job = ofJob(defineJob({ id: "j", schema, output: schema, handler: (payload) => payload }));
  return printed(job[side], side);
}
function printed(schema: JsonSchema, side: "input" | "output" = "input", name = "j"): readonly string[] {
  const named = new Map<string, string>();
  const type = typeOf(schema, { side, name, named });
  const flat = (text: string): string => text.replace(/\s+/g, " ");
  return [flat(type), ...[...named].map(([each, text]) => `${each} = ${flat(text)}`)];
}

test.each<readonly [type: string, schema: ZodType]>([
  ["string", z.string().min(1)],
  ["string", z.email()],
  ["number", z.int()],
  ["boolean", z.boolean()],
  ["null", z.null()],
  ["never", z.never()],
  ["unknown", z.any()],
  ["unknown", z.void()],
  ["unknown", z.coerce.number()],
  ["unknown", z.instanceof(Uint8Array)],
  ["string", z.string().transform(Number)],
  ["string | undefined", z.string().default("x")],
  ["string | null", z.string().nullable()],
  [`"a" | 1 | true | null`, z.literal(["a", 1, true, null])],
  [`"it's \\"so\\"\\n"`, z.literal('it\'s "so"\n')],
  [`"a" | "b"`, z.enum(["a", "b"])],
  ["string | { a: number; }", z.union([z.string(), z.object({ a: z.number() }), z.string()])],
  ["unknown", z.union([z.string(), z.unknown()])],
  ["Date | string", z.date()],
  ["bigint | number | string | null", z.bigint().nullable()],
  ["Map<unknown, unknown> | Array<[unknown, unknown]>", z.map(z.string(), z.number())],
  ["Set<unknown> | unknown[]", z.set(z.string())],
  ["string[]", z.array(z.string())],
  ["Array<string | number>", z.array(z.union([z.string(), z.number()]))],
  ["[string, (number)?]", z.tuple([z.string(), z.number().optional()])],
  ["[string, ...boolean[]]", z.tuple([z.string()], z.boolean())],
  ["Record<string, never>", z.object({})],
  ["{ a: string; b?: number | undefined; }", z.object({ a: z.string(), b: z.number().optional() })],
  ["{ a?: unknown; b?: number | undefined; }", z.object({ a: z.unknown(), b: z.number().default(1) })],
  [
    `{ "1": null; "a-b": string; __proto__x: null; }`,
    z.object({ "a-b": z.string(), "1": z.null(), ["__proto__x"]: z.null() }),
  ],
  ["{ a: string; [key: string]: unknown; }", z.looseObject({ a: z.string() })],
  [
    "{ a?: string | undefined; [key: string]: number | string | undefined; }",
    z.object({ a: z.string().optional() }).catchall(z.number()),
  ],
  ["{ [key: string]: number; }", z.record(z.string(), z.number())],
  ["{ x: number; y: number; }", z.record(z.enum(["x", "y"]), z.number())],
  ["{ x?: number | undefined; y?: number | undefined; }", z.partialRecord(z.enum(["x", "y"]), z.number())],
  [
    `{ k: "a"; n: number; } | { k: "b"; }`,
    z.discriminatedUnion("k", [z.object({ k: z.literal("a"), n: z.number() }), z.object({ k: z.literal("b") })]),
  ],
  [
    "{ /** ends *\\/ here and goes on */ a: string; }",
    z.object({ a: z.string().describe("ends */ here\nand goes on") }),
  ],
])("what a schema takes is: %s", (type, schema) => {
  expect(typed(schema)).toEqual([type]);
});

test.each<readonly [type: string, schema: ZodType]>([
  ["Date", z.date()],
  ["bigint", z.bigint()],
  ["Map<unknown, unknown>", z.map(z.string(), z.number())],
  ["Set<unknown>", z.set(z.string())],
  ["number", z.coerce.number()],
  ["unknown", z.string().transform(Number)],
  ["number", z.string().transform(Number).pipe(z.number())],
  ["unknown", z.literal(5n)],
  ["string", z.string().default("x")],
  ["{ at: Date; note?: string | undefined; }", z.strictObject({ at: z.date(), note: z.string().optional() })],
])("what a schema gives is: %s", (type, schema) => {
  expect(typed(schema, "output")).toEqual([type]);
});

test("a type that holds itself has a name", () => {
  const tree = z.object({
    name: z.string(),
    get children() {
      return z.array(tree);
    },
  });

  expect(typed(tree)).toEqual([
    "{ name: string; children: j_input[]; }",
    "j_input = { name: string; children: j_input[]; }",
  ]);
  expect(typed(z.object({ root: tree }))).toEqual([
    "{ root: j___schema0; }",
    "j___schema0 = { name: string; children: j___schema0[]; }",
  ]);
});

test("what schemas of other libraries may hold is typed, too", () => {
  const address = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

  expect(printed({ allOf: [address, { anyOf: [{ type: "null" }, { const: 1 }] }] })).toEqual([
    "{ city: string; } & (null | 1)",
  ]);
  expect(printed({ $defs: { "a/b": address }, anyOf: [{ $ref: "#/$defs/a/b" }, { $ref: "https://x" }] })).toEqual([
    "unknown",
  ]);
  expect(printed({ $defs: { "a.b": address }, $ref: "#/$defs/a.b" }, "input", "7 mails")).toEqual([
    "_7_mails_a_b",
    "_7_mails_a_b = { city: string; }",
  ]);
  expect(printed({ type: "object" })).toEqual(["{ [key: string]: unknown; }"]);
  expect(printed({ type: ["integer", "array"], items: { type: "string" } })).toEqual(["number | string[]"]);
  expect(printed({ type: "array", prefixItems: [{ type: "string" }] })).toEqual(["[(string)?, ...unknown[]]"]);
  expect(printed({ const: { a: 1 } })).toEqual(["unknown"]);
});

test("types of the same name in two jobs are told apart", () => {
  const shared = z.object({ city: z.string() }).meta({ id: "Address" });
  const jobs = ["a-b", "a.b"].map((id) =>
    ofJob(defineJob({ id, schema: z.object({ from: shared, to: shared }), handler: () => null })),
  );

  const text = declarations(jobs, "files");

  expect([...text.matchAll(/^type (\w+) =/gm)].map(([, name]) => name)).toEqual(["a_b_Address", "a_b_Address_2"]);
});

test("jobs are in the order of their ids, whatever order they were found in", () => {
  const jobs = ["b", "a", "c"].map((id) => ofJob(defineJob({ id, schema: z.void(), handler: () => null })));

  expect(declarations(jobs, "files")).toBe(declarations(jobs.toReversed(), "files"));
});

const jobFile = `
import { defineJob } from ${JSON.stringify(at("sdk/job.ts"))};
import { z } from ${JSON.stringify(zod)};
const Category = z.object({ name: z.string(), get parts() { return z.array(Category); } });
export const remind = defineJob({
  id: "remind",
  description: "Reminds */ a user",
  schema: z.object({ userId: z.string(), at: z.date(), big: z.bigint().optional(), tree: Category.optional() }),
  output: z.object({ messageId: z.string(), sentAt: z.date() }),
  handler: () => ({ messageId: "m", sentAt: new Date() }),
});
export const sweep = defineJob({ id: "mail/sweep.all", schema: z.void(), handler: () => 1 });
`;

const use = `
import { schedules, trigger, type AnyJob, type KnownJob } from "tasker";
const at = new Date();
`;
const right = `
const run = await trigger("remind", { userId: "7", at }, { delay: "1s" });
const { messageId, sentAt } = await run.result();
export const told: [string, Date] = [messageId, sentAt];
await trigger("remind", { userId: "7", at: "2030-01-01", big: "1", tree: { name: "a", parts: [{ name: "b", parts: [] }] } });
await trigger("mail/sweep.all");
await trigger<AnyJob>("made-at-run-time", { of: "any shape" });
await schedules.upsert<KnownJob<"remind">>({ job: "remind", key: "k", every: "1h", payload: { userId: "7", at } });
`;
const wrong = [
  `await trigger("remnid", { userId: "7", at });`,
  `await trigger("remind");`,
  `await trigger("remind", { userId: 7, at });`,
  `await trigger("remind", { userId: "7" });`,
  `await trigger("remind", { userId: "7", at, more: 1 });`,
  `await trigger("remind", { userId: "7", at, tree: { name: "a", parts: [{ name: 1, parts: [] }] } });`,
  `await trigger("remind", { userId: "7", at }, { dealy: "1s" });`,
  `export const text: number = (await (await trigger("remind", { userId: "7", at })).result()).messageId;`,
  `await schedules.upsert<KnownJob<"remind">>({ job: "remind", key: "k", every: "1h", payload: { userId: 7, at } });`,
];

/** A project that can't import the jobs, but has `tasker`. */
function consumer(): string {
  const compilerOptions = {
    ...{ target: "es2023", lib: ["es2024", "esnext.disposable"], module: "nodenext", strict: true, noEmit: true },
    ...{ exactOptionalPropertyTypes: true, allowImportingTsExtensions: true, types: ["node"] },
    typeRoots: [at("node_modules/@types")],
    paths: { tasker: [at("sdk/index.ts")] },
  };
  return folder({
    "package.json": `{"type":"module"}`,
    "tsconfig.json": JSON.stringify({ compilerOptions }),
    "use.ts": use + right + wrong.map((line) => `// @ts-expect-error\n${line}\n`).join(""),
  });
}

test("with the file of a project, its jobs are typed by id in another: right calls compile, wrong ones don't", async () => {
  const jobs = folder({ "jobs/all.ts": jobFile });
  const path = consumer();
  const out = join(path, "tasker.jobs.d.ts");

  const before = complaints(path);
  const written = await tasker(["types", join(jobs, "jobs"), "--out", out], jobs);

  expect(before.length).toBeGreaterThan(0); // without the file the wrong calls were let through
  expect(written).toMatchObject({ code: 0, out: `wrote ${out}: 2 jobs\n` });
  expect(complaints(path)).toEqual([]);
});

test("--check answers whether the file is up to date, and writes nothing", async () => {
  const path = folder({ "jobs/all.ts": jobFile });
  const file = join(path, "sub", "known.d.ts");
  const types = (...more: string[]): ReturnType<typeof tasker> =>
    tasker(["types", join(path, "jobs"), "--out", file, ...more], path);

  const missing = await types("--check");
  const isMade = existsSync(file);
  await types();
  const fresh = await types("--check");
  writeFileSync(file, readFileSync(file, "utf8").replaceAll("\n", "\r\n"));
  const crlf = await types("--check");
  writeFileSync(file, readFileSync(file, "utf8").replace("userId", "user"));
  const stale = await types("--check", "--json");

  expect([missing.code, fresh.code, crlf.code, stale.code]).toEqual([1, 0, 0, 1]);
  expect(isMade).toBe(false);
  expect(missing.out).toBe(`${file} is not up to date; run the same command without --check\n`);
  expect(fresh.out).toBe(`${file} is up to date: 2 jobs\n`);
  expect(JSON.parse(stale.out)).toEqual({ file, jobs: ["mail/sweep.all", "remind"], changed: true });
  expect(readFileSync(file, "utf8")).not.toContain("userId");
});

test("from a database comes what processes published, without the types of results", { timeout: 60_000 }, async () => {
  const database = await freshDatabase();
  const remind = defineJob({
    id: "remind",
    schema: z.object({ at: z.date() }),
    output: z.string(),
    handler: () => "x",
  });
  const runtime = createRuntime({ store: postgres({ url: database.url }), jobs: [remind] });
  const path = folder();
  const file = join(path, "known.d.ts");
  const types = (): ReturnType<typeof tasker> =>
    tasker(["types", "--from", "database", "--out", file], path, { TASKER_DATABASE_URL: database.url });
  try {
    await runtime.start();

    const { code, err } = await types();

    expect([code, err]).toEqual([0, ""]);
    expect(readFileSync(file, "utf8").replace(/\s+/g, " ")).toContain(
      "remind: { input: { at: Date | string; }; output: unknown; };",
    );
  } finally {
    await runtime.stop();
    await database.drop();
  }
});

test.each([
  [["--from", "space"], /--from: "space" is neither files nor database/],
  [["jobs", "--from", "database"], /--from database and paths of job files were given/],
  [["--from", "database"], /no database is known/],
])("%j is refused", async (more, said) => {
  const path = folder();

  const { code, err } = await tasker(["types", "--out", join(path, "x.d.ts"), ...more], path);

  expect(code).toBe(2);
  expect(err).toMatch(said);
});
