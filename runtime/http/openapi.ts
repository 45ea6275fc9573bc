/** The OpenAPI 3.1 document, made from the table of routes. */
import { z } from "zod";
import { statusOf, titles } from "./error.ts";
import { cookie } from "./guard.ts";
import type { Group, Route } from "./route.ts";
import { problem } from "./schema/problem.ts";
import { named } from "./schema/value.ts";

/** A JSON Schema, or another part of the document. */
export type Node = Readonly<Record<string, unknown>>;

/** The headings, in order. */
const groups: Readonly<Record<Group, string>> = {
  Jobs: "What nodes have published, and triggering it",
  Runs: "Looking at runs, and adding them",
  Acts: "What people do with runs: one, or many at once",
  Workflows: "What is sent to workflows, and their journals",
  Schedules: "Rules that make runs over time",
  Queues: "Lanes of runs, which can be paused",
  Nodes: "The processes that run jobs",
  Events: "What happens on all nodes, as it happens",
  Figures: "Counts, rates and failures",
  System: "Health, versions, and getting in",
};

let made: { readonly routes: readonly Route[]; readonly base: string; readonly document: Node } | null = null;

/** The document, which is made once. */
export function documentOf(routes: readonly Route[], version: string, base: string): Node {
  if (made?.routes !== routes || made.base !== base) made = { routes, base, document: openapi(routes, version, base) };
  return made.document;
}

/** The document. `base` is the address that paths count from: "" at the root of a server. */
export function openapi(routes: readonly Route[], version: string, base = ""): Node {
  const schemas: Record<string, Node> = {};
  const paths: Record<string, Record<string, Node>> = {};
  const Problem = schemaOf(problem, schemas);
  for (const route of routes)
    (paths[route.path] ??= {})[route.method.toLowerCase()] = operationOf(route, schemas, Problem);
  return {
    openapi: "3.1.0",
    info: {
      title: "tasker",
      version,
      summary: "Background jobs, workflows and schedules",
      description:
        "Payloads and results are natural JSON. Where JSON lacks a type (a date, a bigint, a Map), a note beside the value names it: `payloadMeta`, `resultMeta`. Instants are ISO texts, spans are like `30s` or `1h30m`. Lists come in pages: `next` is the `cursor` of the page after.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: base || "/" }],
    security: [{ token: [] }, { cookie: [] }],
    tags: Object.entries(groups).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: sorted(schemas),
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          description: "One of the server's tokens, with a role: read, operate or admin",
        },
        cookie: { type: "apiKey", in: "cookie", name: cookie, description: "What a login sets" },
      },
    },
  };
}

function operationOf(route: Route, schemas: Record<string, Node>, Problem: Node): Node {
  const { id, group, summary, about, role, params, query, headers = {} } = route;
  const parameters = [
    ...fieldsOf(params, "path", schemas),
    ...fieldsOf(query, "query", schemas),
    ...Object.entries(headers).map(([name, description]) => ({
      name,
      in: "header",
      description,
      schema: { type: "string" },
    })),
  ];
  const needs = role === null ? "Needs no token." : `Needs the role \`${role}\`.`;
  return {
    operationId: id,
    tags: [group],
    summary,
    description: [about, needs].filter(Boolean).join("\n\n"),
    ...(role === null && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...(route.body && { requestBody: bodyOf(route, schemas) }),
    responses: { ...answersOf(route, schemas), ...errorsOf(route, Problem) },
  };
}

function fieldsOf(
  shape: z.ZodObject | undefined,
  place: "path" | "query",
  schemas: Record<string, Node>,
): readonly Node[] {
  if (!shape) return [];
  const { properties = {}, required = [] } = schemaOf(shape, schemas) as {
    readonly properties?: Readonly<Record<string, Node>>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    ...{ name, in: place, required: place === "path" || required.includes(name) },
    ...(description !== undefined && { description }),
    ...(schema["additionalProperties"] !== undefined && { style: "deepObject", explode: true }),
    schema,
  }));
}

function bodyOf({ body, bare, lines }: Route, schemas: Record<string, Node>): Node {
  const given = schemaOf(body!, schemas);
  if (!lines) return { required: !bare, content: { "application/json": { schema: given } } };
  const item = schemaOf(lines, schemas);
  return {
    required: true,
    description: "A list, or JSON lines: an item a line",
    content: { "application/json": { schema: { ...given, items: item } }, "application/x-ndjson": { schema: item } },
  };
}

function answersOf({ answers }: Route, schemas: Record<string, Node>): Node {
  const entries = Object.entries(answers).map(([status, answer]) => {
    const description = said[Number(status)] ?? "Done";
    if (answer === null) return [status, { description }];
    const [type, schema] =
      typeof answer === "string" ? [answer, { type: "string" }] : ["application/json", schemaOf(answer, schemas)];
    return [status, { description, content: { [type]: { schema } } }];
  });
  return Object.fromEntries(entries) as Node;
}

const said: Readonly<Record<number, string>> = {
  201: "Made",
  202: "Under way",
  204: "Done; there is nothing to say",
  207: "What became of each item",
  503: "It can't work now",
};

function errorsOf({ role, errors = [], params, query, body, answers }: Route, Problem: Node): Node {
  const codes = new Set<keyof typeof statusOf>([...errors, "ORIGIN_REFUSED", "HOST_REFUSED"]);
  if (params ?? query ?? body) codes.add("INVALID_INPUT");
  if (body) for (const code of ["INVALID_JSON", "TOO_LARGE", "UNSUPPORTED_TYPE"] as const) codes.add(code);
  if (role !== null) for (const code of ["UNAUTHORIZED", "FORBIDDEN", "TOO_MANY_ATTEMPTS"] as const) codes.add(code);
  const content = { "application/problem+json": { schema: Problem } };
  const statuses = new Set([...codes].map((code) => statusOf[code]).filter((status) => !(status in answers)));
  const listed = [...statuses].sort().map((status) => {
    const names = [...codes].filter((code) => statusOf[code] === status).map((code) => `\`${code}\``);
    return [status, { description: `${titles[status]}: ${names.join(", ")}`, content }];
  });
  return { ...(Object.fromEntries(listed) as Node), default: { description: "Any other error", content } };
}

/** A schema as JSON Schema, its named parts put into `schemas`. */
function schemaOf(schema: z.ZodType, schemas: Record<string, Node>): Node {
  const {
    $schema: _,
    $defs = {},
    ...own
  } = z.toJSONSchema(schema, { io: "input", metadata: named, override: plain }) as Node & {
    readonly $defs?: Readonly<Record<string, Node>>;
  };
  for (const [name, part] of Object.entries($defs)) schemas[name] = relinked(part);
  return relinked(own);
}

/** The format says of an instant what its long pattern does. */
function plain({ jsonSchema }: { readonly jsonSchema: Record<string, unknown> }): void {
  if (jsonSchema["format"] === "date-time") delete jsonSchema["pattern"];
}

function relinked(node: Node): Node {
  return JSON.parse(JSON.stringify(node).replaceAll('"#/$defs/', '"#/components/schemas/')) as Node;
}

function sorted(schemas: Readonly<Record<string, Node>>): Node {
  return Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1)));
}
