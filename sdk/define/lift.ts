import { isPlain } from "../port/rich.ts";

/** A published JSON Schema, as `jsonSchemaOf` writes it: the parts that lifting reads. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
  readonly type?: unknown;
  readonly "x-type"?: "Date" | "bigint" | "Map" | "Set";
}

/** Turns natural JSON into the values that the job's schema takes: `"2030-01-01T00:00:00Z"` becomes a Date where the
 *  schema says so, and likewise bigint, Map (from a list of pairs) and Set. What is one already, or fits no
 *  alternative, stays as it is. Pure. Lists and objects are copied only where something in them changes. */
export function lift(schema: JsonSchema, value: unknown): unknown {
  try {
    return visit(schema, value, { root: schema, depth: 0 });
  } catch {
    return value; // what can't be read is refused by `encode`, which names the field
  }
}

interface Place {
  readonly root: JsonSchema;
  readonly depth: number;
}

function visit(schema: unknown, value: unknown, place: Place): unknown {
  if (!isRecord(schema) || place.depth > 64) return value;
  const inner = { root: place.root, depth: place.depth + 1 };
  if (typeof schema["$ref"] === "string") return visit(resolve(schema["$ref"], place.root), value, inner);
  if (schema["x-type"] !== undefined) return typed(schema["x-type"], value);
  const choices = schema["anyOf"] ?? schema["oneOf"];
  if (Array.isArray(choices)) return visit(choose(choices, value, place.root), value, inner);
  if (Array.isArray(schema["allOf"]))
    return schema["allOf"].reduce((lifted: unknown, part) => visit(part, lifted, inner), value);
  if (Array.isArray(value)) return items(schema, value, inner);
  return isRecord(value) ? properties(schema, value, inner) : value;
}

function items(schema: JsonSchema, list: readonly unknown[], inner: Place): unknown {
  const first = Array.isArray(schema["prefixItems"]) ? schema["prefixItems"] : [];
  const lifted = list.map((item, i) => visit(first[i] ?? schema["items"], item, inner));
  return lifted.some((item, i) => item !== list[i]) ? lifted : list;
}

function properties(schema: JsonSchema, holder: Readonly<Record<string, unknown>>, inner: Place): unknown {
  const known = isRecord(schema["properties"]) ? schema["properties"] : {};
  const lifted = Object.entries(holder).map(([key, value]) => {
    const of = Object.hasOwn(known, key) ? known[key] : schema["additionalProperties"];
    return [key, visit(of, value, inner)] as const;
  });
  return lifted.some(([key, value]) => value !== holder[key]) ? Object.fromEntries(lifted) : holder;
}

/** The value that a marked text or list stands for; the value itself if it is not marked. */
function typed(type: unknown, value: unknown): unknown {
  if (type === "Date") return typeof value === "string" && isInstant(value) ? new Date(value) : value;
  if (type === "bigint") return isWhole(value) ? BigInt(value) : value;
  if (!Array.isArray(value)) return value;
  if (type === "Set") return new Set(value);
  return type === "Map" && value.every((pair) => Array.isArray(pair) && pair.length === 2)
    ? new Map(value as [unknown, unknown][])
    : value;
}

function isInstant(text: string): boolean {
  return (
    /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/.test(text) &&
    !Number.isNaN(Date.parse(text))
  );
}

function isWhole(value: unknown): value is string | number {
  return typeof value === "string" ? /^-?\d{1,1000}$/.test(value) : Number.isSafeInteger(value);
}

/** The first alternative that its type, constants and required fields don't rule out; unmarked text before marked. */
function choose(choices: readonly unknown[], value: unknown, root: JsonSchema): unknown {
  const fitting = choices.filter((choice) => fits(choice, value, root));
  return fitting.find((choice) => isRecord(choice) && choice["x-type"] === undefined) ?? fitting[0];
}

function fits(choice: unknown, value: unknown, root: JsonSchema): boolean {
  if (!isRecord(choice)) return choice !== false;
  const schema = typeof choice["$ref"] === "string" ? resolve(choice["$ref"], root) : choice;
  if (!isRecord(schema)) return true;
  if ("const" in schema && schema["const"] !== value) return false;
  if (Array.isArray(schema["enum"]) && !schema["enum"].includes(value)) return false;
  if (schema["x-type"] !== undefined) return typed(schema["x-type"], value) !== value;
  if (typeof schema.type === "string" && !isOf(schema.type, value)) return false;
  return !isRecord(value) || fitsFields(schema, value, root);
}

function fitsFields(schema: JsonSchema, value: Readonly<Record<string, unknown>>, root: JsonSchema): boolean {
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  if (!required.every((key) => typeof key === "string" && Object.hasOwn(value, key))) return false;
  const known = isRecord(schema["properties"]) ? schema["properties"] : {};
  return Object.entries(known).every(([key, of]) => {
    const constant = isRecord(of) && ("const" in of || "enum" in of);
    return !constant || !Object.hasOwn(value, key) || fits(of, value[key], root);
  });
}

function isOf(type: string, value: unknown): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isRecord(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}

/** `#/$defs/name` alone: what JSON Schemas of zod hold. */
function resolve(ref: string, root: JsonSchema): unknown {
  if (ref === "#") return root;
  const name = /^#\/\$defs\/([^/]+)$/.exec(ref)?.[1];
  const defs = root["$defs"];
  return name !== undefined && isRecord(defs) && Object.hasOwn(defs, name) ? defs[name] : undefined;
}

/** Also narrows to a JSON Schema: an object whose keywords are unknown. */
export function isRecord(value: unknown): value is JsonSchema & Record<string, unknown> {
  return isPlain(value);
}
