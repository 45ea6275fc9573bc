/** Requests and values that are made from an OpenAPI document. */
import fc, { type Arbitrary } from "fast-check";

/** A JSON Schema, or another part of the document. */
export interface Node {
  readonly [key: string]: unknown;
}
export interface Operation extends Node {
  readonly operationId: string;
  readonly parameters?: readonly { name: string; in: "path" | "query" | "header"; required?: boolean; schema: Node }[];
  readonly requestBody?: { required: boolean; content: Readonly<Record<string, { schema: Node }>> };
  readonly responses: Readonly<Record<string, { content?: Readonly<Record<string, { schema: Node }>> }>>;
}
export interface Document extends Node {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Node>> };
}

export interface Asked {
  readonly operation: Operation;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string | undefined;
}

/** Values that mean something to the server at hand, by the name of a field: ids of runs that are there, jobs, keys. */
export type Known = Readonly<Record<string, readonly string[]>>;

const anything = fc.oneof(
  { weight: 4, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(
      "",
      "\0",
      "\ud800",
      "__proto__",
      -0,
      1e308,
      2 ** 53,
      [],
      {},
      { __proto__: null },
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
);

/** What a schema allows. Fields whose names are known mostly have a value that is. */
export function valueOf(schema: Node, document: Document, known: Known, name = ""): Arbitrary<unknown> {
  const inner = (part: Node, key = name): Arbitrary<unknown> => valueOf(part, document, known, key);
  const {
    $ref,
    anyOf,
    type,
    properties,
    additionalProperties,
    items,
    required = [],
  } = schema as Node & {
    $ref?: string;
    anyOf?: readonly Node[];
    properties?: Readonly<Record<string, Node>>;
    required?: readonly string[];
  };
  if ($ref) return inner(document.components.schemas[$ref.split("/").at(-1)!]!);
  if (anyOf) return fc.oneof(...anyOf.map((part) => inner(part)));
  if (Array.isArray(schema["enum"])) return fc.constantFrom(...(schema["enum"] as unknown[]));
  if ("const" in schema) return fc.constant(schema["const"]);
  switch (type) {
    case "string":
      return name === "wait" ? fc.constantFrom(...known["wait"]!) : text(schema, known[name]); // a long one would be waited for
    case "integer":
      return fc.integer({
        min: Number(schema["minimum"] ?? -1000),
        max: Math.min(Number(schema["maximum"] ?? 100_000), 100_000),
      });
    case "number":
      return fc.double({ min: -1e12, max: 1e12, noNaN: true });
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    case "array":
      return fc.array(inner((items as Node | undefined) ?? {}), {
        minLength: Number(schema["minItems"] ?? 0),
        maxLength: 4,
      });
    case "object": {
      if (!properties)
        return fc.dictionary(fc.string({ maxLength: 8 }), inner((additionalProperties ?? {}) as Node), { maxKeys: 3 });
      const fields = Object.entries(properties).map(([key, part]) => [key, inner(part, key)] as const);
      return fc.record(Object.fromEntries(fields), { requiredKeys: [...required] });
    }
    default:
      return anything;
  }
}

function text(schema: Node, known: readonly string[] = []): Arbitrary<string> {
  const free =
    schema["format"] === "date-time"
      ? fc
          .date({ min: new Date(0), max: new Date("2100-01-01T00:00:00Z"), noInvalidDate: true })
          .map((date) => date.toISOString())
      : typeof schema["pattern"] === "string"
        ? fc.stringMatching(new RegExp(schema["pattern"].replace("{1,5}", "{1,2}")), { maxLength: 12 })
        : fc.string({
            unit: "binary",
            minLength: Number(schema["minLength"] ?? 0),
            maxLength: Math.min(Number(schema["maxLength"] ?? 20), 20),
          });
  return known.length === 0
    ? free
    : fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...known) }, { weight: 1, arbitrary: free });
}

/** Requests of all operations: most as the document has them, some with a field too many, a broken body or another type. */
export function requests(document: Document, known: Known, without: readonly string[]): Arbitrary<Asked> {
  const all = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const operations = all.filter(({ operation }) => !without.includes(operation.operationId));
  return fc.oneof(...operations.map((one) => requestOf(one, document, known)));
}

function requestOf(
  { path, method, operation }: { path: string; method: string; operation: Operation },
  document: Document,
  known: Known,
): Arbitrary<Asked> {
  const { parameters = [], requestBody } = operation;
  const part = (place: string) =>
    fc.record(
      Object.fromEntries(
        parameters
          .filter((one) => one.in === place)
          .map(({ name, schema }) => [name, valueOf(schema, document, known, name)]),
      ),
      { requiredKeys: parameters.filter((one) => one.in === place && one.required).map(({ name }) => name) },
    );
  const bodies = Object.entries(requestBody?.content ?? {}).map(([type, { schema }]) => {
    const item = valueOf(schema, document, known);
    const sent =
      type === "application/json"
        ? item.map((value) => JSON.stringify(value))
        : fc.array(item, { maxLength: 3 }).map((all) => all.map((value) => JSON.stringify(value)).join("\n"));
    return sent.map((body) => ({ type, body }));
  });
  const broken = fc.record({
    type: fc.constantFrom("application/json", "application/x-ndjson", "text/plain", ""),
    body: fc.oneof(
      anything.map((value) => JSON.stringify(value)),
      fc.string({ unit: "binary" }),
      fc.constantFrom("", "{", "[".repeat(5000), "null"),
    ),
  });
  const body =
    bodies.length === 0
      ? fc.constant(null)
      : fc.oneof({ weight: 6, arbitrary: fc.oneof(...bodies) }, { weight: 1, arbitrary: broken });
  const extra = fc.oneof(
    { weight: 8, arbitrary: fc.constant("") },
    { weight: 1, arbitrary: fc.constantFrom("&nope=1", "&limit=&limit=2", "&a[b]=c", "&%00=%ff", "&__proto__=1") },
  );
  return fc
    .record({ params: part("path"), query: part("query"), headers: part("header"), body, extra })
    .map(({ params, query, headers, body, extra }) => {
      const address = path.replace(/\{(\w+)\}/g, (_, name: string) =>
        encodeURIComponent(wellFormed(String(params[name]))),
      );
      const search = queryText(query) + extra;
      return {
        ...{ operation, method, path: search === "" ? address : `${address}?${search}` },
        headers: {
          ...Object.fromEntries(
            Object.entries(headers).map(([name, value]) => [
              name,
              String(value)
                .replace(/[^\x20-\x7e]/g, "")
                .trim(),
            ]),
          ),
          ...(body && body.type !== "" && { "Content-Type": body.type }),
        },
        text: body?.body,
      };
    });
}

function queryText(query: Node): string {
  const pairs = Object.entries(query).flatMap(([name, value]): (readonly [string, unknown])[] => {
    if (Array.isArray(value)) return value.map((item) => [name, item] as const);
    if (typeof value === "object" && value !== null)
      return Object.entries(value).map(([key, item]) => [`${name}[${key}]`, item] as const);
    return [[name, value]];
  });
  return pairs
    .map(
      ([name, value]) =>
        `${encodeURIComponent(wellFormed(name))}=${encodeURIComponent(wellFormed(typeof value === "object" ? JSON.stringify(value) : String(value)))}`,
    )
    .join("&");
}

function wellFormed(text: string): string {
  return text.toWellFormed();
}
