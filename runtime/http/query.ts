/** Queries of addresses, read by the schema that they must match. */
import type { z } from "zod";
import { invalid } from "../../sdk/port/error.ts";

type Kind = "array" | "number" | "boolean" | "record" | "string";
const kinds = new WeakMap<z.ZodObject, ReadonlyMap<string, Kind>>();

/** The fields of a query: lists of what is given several times, or with commas where items are names; numbers and booleans; and records of
 *  `field[key]=value`. What can't be read so stays text, which the schema then refuses.
 *  @throws {InvalidInput} for a field that is given twice and is no list */
export function queryOf(schema: z.ZodObject | undefined, url: string): object {
  const at = url.indexOf("?");
  if (at < 0) return {};
  const fields: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  const known = schema ? kindsOf(schema) : new Map<string, Kind>();
  for (const [name, text] of new URLSearchParams(url.slice(at))) {
    const [, record, key] = /^([^[]+)\[(.+)\]$/.exec(name) ?? [];
    if (record !== undefined && known.get(record) === "record") {
      fields[record] = { ...(fields[record] as object | undefined), [key!]: text };
    } else if (known.get(name) === "array") {
      const items = name === "tags" ? [text] : text.split(","); // a tag may have commas
      fields[name] = [...((fields[name] as readonly string[] | undefined) ?? []), ...items];
    } else if (name in fields) {
      throw invalid(name, `"${name.slice(0, 80)}" is given twice in the query; give it once`);
    } else fields[name] = valueOf(known.get(name), text);
  }
  return fields;
}

function valueOf(kind: Kind | undefined, text: string): unknown {
  if (kind === "number" && /^-?\d{1,15}$/.test(text)) return Number(text);
  if (kind === "boolean") return text === "true" || text === "" ? true : text === "false" ? false : text;
  return text;
}

function kindsOf(schema: z.ZodObject): ReadonlyMap<string, Kind> {
  const found = kinds.get(schema);
  if (found) return found;
  const made = new Map(Object.entries(schema.shape).map(([name, field]) => [name, kindOf(field)]));
  kinds.set(schema, made);
  return made;
}

function kindOf(field: unknown): Kind {
  const { def } = (field as z.ZodType)._zod as unknown as {
    readonly def: { readonly type: string; readonly innerType?: unknown };
  };
  if (def.innerType !== undefined) return kindOf(def.innerType);
  return (["array", "number", "boolean", "record"] as const).find((kind) => kind === def.type) ?? "string";
}
