import { oneLine } from "../view/color.ts";
import { isRecord, type JsonSchema } from "../../sdk/define/lift.ts";

/** Which side of a job a type is of: what `trigger` takes, where plain JSON may stand for a Date, a bigint, a Map or a Set; or what
 *  `result()` gives. */
export type Side = "input" | "output";

/** Where types are printed. */
export interface Place {
  readonly side: Side;
  /** Begins the names of types that are referred to. */
  readonly name: string;
  /** Those types, by name: printing adds to them. */
  readonly named: Map<string, string>;
}

/** One line of an object type. */
export interface Property {
  readonly key: string;
  readonly optional?: boolean;
  readonly type: string;
  /** Its comment, if it is a text. */
  readonly about?: unknown;
}

/** TypeScript of a JSON Schema, as `jsonSchemaOf` writes it. What has no word here is `unknown`, so that the type never refuses what
 *  the schema takes. */
export function typeOf(schema: JsonSchema, place: Place): string {
  const type = visit(schema, { ...place, root: schema, seen: new Map() });
  return place.side === "input" && "default" in schema ? union([type, "undefined"]) : type;
}

/** An object type, each property on its own lines. */
export function objectOf(properties: readonly Property[], rest: string | null = null): string {
  const lines = properties.map(({ key, optional = false, type, about }) => {
    const comment = typeof about === "string" && about.trim() !== "" ? `/** ${harmless(about)} */\n` : "";
    const name = /^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key);
    return `${comment}${name}${optional ? "?" : ""}: ${optional ? union([type, "undefined"]) : type};`;
  });
  if (rest !== null) lines.push(`[key: string]: ${rest};`);
  return `{\n${lines.join("\n").replace(/^/gm, "  ")}\n}`;
}

interface Within extends Place {
  readonly root: JsonSchema;
  /** Names of what has been referred to. */
  readonly seen: Map<unknown, string>;
}

const marked: Readonly<Record<Side, Readonly<Record<string, string>>>> = {
  input: {
    Date: "Date | string",
    bigint: "bigint | number | string",
    Map: "Map<unknown, unknown> | Array<[unknown, unknown]>",
    Set: "Set<unknown> | unknown[]",
  },
  output: { Date: "Date", bigint: "bigint", Map: "Map<unknown, unknown>", Set: "Set<unknown>" },
};

function visit(schema: unknown, within: Within): string {
  if (schema === false) return "never";
  if (!isRecord(schema)) return "unknown";
  if (typeof schema["$ref"] === "string") return referred(schema["$ref"], within);
  const mark = schema["x-type"];
  if (typeof mark === "string") return marked[within.side][mark] ?? "unknown";
  if (isRecord(schema["not"]) && Object.keys(schema["not"]).length === 0) return "never";
  const each = (list: unknown): string[] => listOf(list).map((part) => visit(part, within));
  const choices = [schema["anyOf"], schema["oneOf"]].filter(Array.isArray).map((list) => union(each(list)));
  return both([own(schema, within), ...each(schema["allOf"]), ...choices]);
}

/** What a schema says by itself, without those that it is combined with. */
function own(schema: JsonSchema, within: Within): string {
  if ("const" in schema) return literal(schema["const"]);
  if (Array.isArray(schema["enum"])) return union(schema["enum"].map(literal));
  if (Array.isArray(schema.type)) return union(schema.type.map((type) => own({ ...schema, type }, within)));
  if (schema.type === "integer") return "number";
  if (schema.type === "array") return list(schema, within);
  if (schema.type === "object") return object(schema, within);
  return ["string", "number", "boolean", "null"].includes(schema.type as string) ? (schema.type as string) : "unknown";
}

function list(schema: JsonSchema, within: Within): string {
  const of = (type: string): string => (/^\w+$/.test(type) ? `${type}[]` : `Array<${type}>`);
  if (!Array.isArray(schema["prefixItems"])) return of(visit(schema["items"], within));
  const needed = Number(schema["minItems"] ?? 0);
  const first = schema["prefixItems"].map((item, at) => {
    const type = visit(item, within);
    return at < needed ? type : `(${type})?`;
  });
  const rest = schema["items"] === false ? [] : [`...${of(visit(schema["items"], within))}`];
  return `[${[...first, ...rest].join(", ")}]`;
}

function object(schema: JsonSchema, within: Within): string {
  const rest = schema["additionalProperties"];
  const keys = isRecord(schema["propertyNames"]) ? listOf(schema["propertyNames"]["enum"]) : []; // of a record
  const known = [
    ...keys.map((key) => [String(key), rest] as const),
    ...Object.entries(isRecord(schema["properties"]) ? schema["properties"] : {}),
  ];
  const required = listOf(schema["required"]);
  const properties = known.map(([key, of]) => ({
    key,
    type: visit(of, within),
    optional: !required.includes(key),
    about: isRecord(of) ? of["description"] : null,
  }));
  const isOpen = known.length === 0 ? rest !== false && !isRecord(schema["properties"]) : isRecord(rest);
  if (properties.length === 0 && !isOpen) return "Record<string, never>";
  return objectOf(properties, isOpen && keys.length === 0 ? indexed(visit(rest, within), properties) : null);
}

/** An index signature must admit what the properties hold. */
function indexed(rest: string, properties: readonly Property[]): string {
  return union([
    rest,
    ...properties.map(({ type }) => type),
    ...properties.flatMap((one) => (one.optional ? ["undefined"] : [])),
  ]);
}

/** A type that is referred to has a name of its own; that is how it can hold itself. */
function referred(ref: string, within: Within): string {
  const { root, seen, named } = within;
  const [, key] = /^#(?:\/\$defs\/([^/]+))?$/.exec(ref) ?? [];
  const target = ref === "#" ? root : isRecord(root["$defs"]) && key !== undefined ? root["$defs"][key] : undefined;
  if (target === undefined) return "unknown";
  const known = seen.get(target);
  if (known !== undefined) return known;
  const base = `${within.name}_${key ?? within.side}`.replace(/\W/g, "_").replace(/^\d/, "_$&");
  let name = base;
  for (let n = 2; named.has(name); n++) name = `${base}_${n}`;
  seen.set(target, name);
  named.set(name, ""); // taken, before it is known: it may hold itself
  named.set(name, visit(target, within));
  return name;
}

function union(types: readonly string[]): string {
  return types.includes("unknown") ? "unknown" : [...new Set(types)].join(" | ") || "never";
}

function both(types: readonly string[]): string {
  const told = [...new Set(types)].filter((type) => type !== "unknown");
  if (told.length < 2) return told[0] ?? "unknown";
  return told.map((type) => (type.includes(" | ") ? `(${type})` : type)).join(" & ");
}

function literal(value: unknown): string {
  return value === null || ["string", "number", "boolean"].includes(typeof value) ? JSON.stringify(value) : "unknown";
}

/** Text that can't end the comment that it stands in. */
function harmless(text: string): string {
  return oneLine(text.trim()).replaceAll("*/", "*\\/");
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}
