/** Schemas of any library that speaks Standard Schema: checking, and what JSON Schema can tell of them. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { isRecord } from "../port/option.ts";
import { InvalidInput, type Issue } from "../port/error.ts";
import type { JsonSchema } from "./lift.ts";

/** The schema's output, or what is wrong; never both. */
export type Checked<T> = { readonly value: T; readonly issues?: undefined } | { readonly issues: readonly Issue[] };

/** Parses a value once. The answer is a promise only where the schema's own check is asynchronous. Of such a schema of zod
 *  what comes before its first asynchronous step runs twice in the first call, for only that call shows what it is.
 *  @throws whatever a refinement or transform of the schema throws. */
export function check<S extends StandardSchemaV1>(
  schema: S,
  value: unknown,
): Checked<StandardSchemaV1.InferOutput<S>> | Promise<Checked<StandardSchemaV1.InferOutput<S>>> {
  if (lateSchemas.has(schema)) return (schema as unknown as Late).safeParseAsync(value).then(parsed);
  const result = schema["~standard"].validate(value);
  if (!(result instanceof Promise)) return checked(result);
  return result.then((late) => {
    if (isLate(schema)) lateSchemas.add(schema);
    return checked(late);
  });
}

/** A schema of zod. Its `validate` tries without promises first, then again with them. */
interface Late {
  safeParseAsync(
    value: unknown,
  ): Promise<
    | { readonly success: true; readonly data: unknown }
    | { readonly success: false; readonly error: StandardSchemaV1.FailureResult }
  >;
}

/** Those that turned out to be asynchronous. */
const lateSchemas = new WeakSet<object>();

function isLate(schema: object): boolean {
  return (
    (schema as StandardSchemaV1)["~standard"].vendor === "zod" &&
    typeof (schema as Partial<Late>).safeParseAsync === "function"
  );
}

function parsed<T>(result: Awaited<ReturnType<Late["safeParseAsync"]>>): Checked<T> {
  return checked(result.success ? { value: result.data } : result.error);
}

function checked<T>(result: StandardSchemaV1.Result<unknown>): Checked<T> {
  if (result.issues)
    return { issues: result.issues.map(({ path, message }) => ({ path: dotted(path ?? []), message })) };
  return result as { readonly value: T }; // the schema's own claim
}

function dotted(path: NonNullable<StandardSchemaV1.Issue["path"]>): string {
  return path.map((part) => String(typeof part === "object" ? part.key : part)).join(".");
}

/** @throws {InvalidInput} unless it is a schema */
export function checkSchema(of: string, schema: unknown): void {
  if (isSchema(schema)) return;
  throw new InvalidInput(`${of}: schema is not a Standard Schema; write schema: z.object({ … })`, { path: "schema" });
}

/** Whether a value can be used as a schema. */
export function isSchema(value: unknown): value is StandardSchemaV1 {
  if (!isRecord(value) && typeof value !== "function") return false; // arktype's are functions
  const props = (value as { readonly "~standard"?: { readonly validate?: unknown } | null })["~standard"];
  return typeof props === "object" && props !== null && typeof props.validate === "function";
}

/** What a schema of zod 4.2 or later has to say of one of its nodes. */
export interface Node {
  readonly zodSchema: { readonly _zod: { readonly def: Definition } };
  readonly jsonSchema: Record<string, unknown>;
}
interface Definition {
  readonly type: string;
  readonly coerce?: boolean;
  readonly values?: readonly unknown[];
  readonly in?: { readonly _zod: { readonly def: Definition } };
}
type Convert = (options: { readonly target: string; readonly libraryOptions: object }) => unknown;

/** What `read` makes of the JSON Schema (2020-12) of what a schema takes or gives, each node of it seen by `override`; null where the
 *  library can't tell. Never throws. */
export function told<T>(
  schema: StandardSchemaV1,
  side: "input" | "output",
  override: (node: Node) => void,
  read: (found: object) => T,
): T | null {
  try {
    const { jsonSchema } = schema["~standard"] as { readonly jsonSchema?: Partial<Record<typeof side, Convert>> };
    const libraryOptions = { unrepresentable: "any", override };
    const found = jsonSchema?.[side]?.({ target: "draft-2020-12", libraryOptions });
    return typeof found === "object" && found !== null ? read(found) : null;
  } catch {
    return null;
  }
}

/** JSON Schema (as text) of the natural JSON of a schema's input. What JSON Schema has no word for is left open, so that it never
 *  refuses what the schema would take. `x-type` marks what `lift` turns into a Date, bigint, Map or Set. Null as of `told`. */
export function jsonSchemaOf(schema: StandardSchemaV1): string | null {
  const text = told(schema, "input", override, (found) => JSON.stringify(found));
  return text === null || /\\u(?:0000|d[89a-f])/i.test(text) ? null : text; // jsonb could not hold it
}

const natural: Readonly<Record<string, JsonSchema>> = {
  date: { type: "string", format: "date-time", "x-type": "Date" },
  bigint: { type: "string", pattern: "^-?\\d+$", "x-type": "bigint" },
  map: { type: "array", items: { type: "array", minItems: 2, maxItems: 2 }, "x-type": "Map" },
  set: { type: "array", "x-type": "Set" },
};

function override({ zodSchema, jsonSchema }: Node): void {
  const { def } = zodSchema._zod;
  if (isOpen(def)) return replace(jsonSchema, {});
  const form = natural[def.type];
  if (form) return replace(jsonSchema, form);
  if (def.type === "object" && Array.isArray(jsonSchema["required"])) dropOpen(jsonSchema);
}

/** Takes more than its JSON Schema would say. */
function isOpen(def: Definition): boolean {
  if (def.coerce || def.type === "catch" || def.type === "file") return true;
  if (def.type === "literal")
    return (
      def.values?.some((value) => value !== null && !["string", "number", "boolean"].includes(typeof value)) ?? true
    );
  return def.type === "pipe" && def.in?._zod.def.type === "transform"; // z.preprocess
}

/** A field that may hold anything may hold undefined, which natural JSON leaves out. */
function dropOpen(schema: Record<string, unknown>): void {
  const properties = schema["properties"] as Readonly<Record<string, object>>;
  const required = (schema["required"] as readonly string[]).filter(
    (key) => Object.keys(properties[key] ?? {}).length > 0,
  );
  if (required.length > 0) schema["required"] = required;
  else delete schema["required"];
}

function replace(schema: Record<string, unknown>, by: JsonSchema): void {
  for (const key of Object.keys(schema)) delete schema[key];
  Object.assign(schema, by);
}

/** Checks a value against a published JSON Schema (see `jsonSchemaOf`): its natural JSON, with zod's reading of the
 *  schema. What that can't read is let through: the parse at the start of an attempt is final. Formats and constraints
 *  count as zod 4 reads them. */
export async function checkJson(schema: string, value: unknown): Promise<readonly Issue[]> {
  try {
    return distinct((await check(await readSchema(schema), plain(value))).issues ?? []);
  } catch {
    return [];
  }
}

const mostRead = 100;
const readSchemas = new Map<string, Promise<StandardSchemaV1>>();

/** A schema of zod. The latest are remembered, for reading one takes far longer than checking by it. */
function readSchema(text: string): Promise<StandardSchemaV1> {
  const found = readSchemas.get(text) ?? fromText(text);
  readSchemas.delete(text);
  readSchemas.set(text, found);
  if (readSchemas.size > mostRead) readSchemas.delete(readSchemas.keys().next().value!);
  return found;
}

async function fromText(text: string): Promise<StandardSchemaV1> {
  const { fromJSONSchema } = await import("zod"); // late: only triggers by id need it
  return fromJSONSchema(JSON.parse(text) as Parameters<typeof fromJSONSchema>[0]);
}

/** A format and its pattern complain of one mistake twice. */
function distinct(issues: readonly Issue[]): readonly Issue[] {
  return issues.filter(({ path }, i) => issues.findIndex((one) => one.path === path) === i);
}

/** The natural JSON of a value that `encode` takes; undefined fields are left out. */
function plain(value: unknown): unknown {
  const text = JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === "bigint") return part.toString();
    // a Date whose year JSON Schema has no format for
    if (typeof part === "string" && /^[+-]\d{6}-\d\d-\d\dT/.test(part)) return part.slice(3);
    if (part instanceof Map || part instanceof Set) return [...(part as Iterable<unknown>)];
    return part;
  }) as string | undefined;
  return text === undefined ? undefined : JSON.parse(text);
}
