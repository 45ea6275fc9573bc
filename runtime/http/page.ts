/** The reference as one page without a script: made from the OpenAPI document, so that it needs no network. */
import { createHash } from "node:crypto";
import type { Node } from "./openapi.ts";

type Schemas = Readonly<Record<string, Node>>;
interface Operation extends Node {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Contents };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Contents }>>;
}
interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: Node;
}
type Contents = Readonly<Record<string, { readonly schema: Node }>>;

const style = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2.5rem 0 .5rem; } nav a { margin-right: 1rem; }
details { border-bottom: 1px solid var(--line); padding: .4rem 0; } summary { cursor: pointer; }
code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { overflow-x: auto; padding: .6rem; border: 1px solid var(--line); }
b.method { display: inline-block; width: 4.5rem; } table { border-collapse: collapse; } td { padding: .15rem .8rem .15rem 0; vertical-align: top; }
`;
/** No script, no request to anywhere, and the one style that is written here. */
export const policy = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** The page of a document. */
export function page(document: Node): string {
  const { info, paths, components, tags } = document as unknown as {
    readonly info: { readonly version: string; readonly description: string };
    readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
    readonly components: { readonly schemas: Schemas };
    readonly tags: readonly { readonly name: string; readonly description: string }[];
  };
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const sections = tags.map(({ name, description }) => {
    const own = all.filter(({ operation }) => operation.tags.includes(name));
    return `<h2 id="${slug(name)}">${text(name)}</h2><p>${text(description)}</p>${own.map(detail).join("")}`;
  });
  const shapes = Object.entries(components.schemas).map(
    ([name, schema]) =>
      `<details id="schema-${slug(name)}"><summary><code>${text(name)}</code></summary><pre>${shape(schema)}</pre></details>`,
  );
  const links = [...tags.map(({ name }) => name), "Schemas"].map(
    (name) => `<a href="#${slug(name)}">${text(name)}</a>`,
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>tasker API</title><style>${style}</style></head><body><h1>tasker ${text(info.version)}</h1><p>${code(info.description)}</p>
<p>The same for programs: <a href="openapi.json">openapi.json</a></p><nav>${links.join("")}</nav>
${sections.join("\n")}<h2 id="schemas">Schemas</h2>${shapes.join("\n")}</body></html>`;
}

function detail({
  path,
  method,
  operation,
}: {
  readonly path: string;
  readonly method: string;
  readonly operation: Operation;
}): string {
  const { operationId, summary, description, parameters = [], requestBody, responses } = operation;
  const rows = parameters.map(
    ({ name, in: place, required, description = "", schema }) =>
      `<tr><td><code>${text(name)}</code>${required ? "" : "?"}</td><td>${text(place)}</td><td><code>${shape(schema)}</code></td><td>${code(description)}</td></tr>`,
  );
  const bodies = Object.entries(requestBody?.content ?? {}).map(
    ([type, { schema }]) => `<p>Body, <code>${text(type)}</code></p><pre>${shape(schema)}</pre>`,
  );
  const answers = Object.entries(responses).map(([status, { description: what, content = {} }]) => {
    const [found] = Object.entries(content);
    return `<tr><td>${text(status)}</td><td>${code(what)}</td><td>${found ? `<code>${shape(found[1].schema)}</code>` : ""}</td></tr>`;
  });
  return `<details id="${text(operationId)}"><summary><b class="method">${method}</b><code>${text(path)}</code> ${text(summary)}</summary>
<p>${code(description).replaceAll("\n\n", "</p><p>")}</p><table>${rows.join("")}</table>${bodies.join("")}<table>${answers.join("")}</table></details>`;
}

/** A schema as TypeScript would write it, escaped; named ones are links. */
function shape(schema: Node, indent = ""): string {
  const { $ref, anyOf, allOf, type, items, properties, additionalProperties, required = [] } = schema;
  if (typeof $ref === "string") return link($ref.split("/").at(-1)!);
  const choices = (anyOf ?? allOf) as readonly Node[] | undefined;
  if (choices) return choices.map((choice) => shape(choice, indent)).join(" | ");
  if (schema["enum"] ?? "const" in schema)
    return ((schema["enum"] as readonly unknown[] | undefined) ?? [schema["const"]])
      .map((one) => text(JSON.stringify(one)))
      .join(" | ");
  if (type === "array") return `${shape((items as Node | undefined) ?? {}, indent)}[]`;
  if (type !== "object") return text(String(schema["format"] ?? type ?? "any"));
  if (!properties)
    return typeof additionalProperties === "object"
      ? `{ [key]: ${shape(additionalProperties as Node, indent)} }`
      : "object";
  const inner = `${indent}  `;
  const lines = Object.entries(properties as Schemas).map(([name, field]) => {
    const mark = (required as readonly string[]).includes(name) ? "" : "?";
    const note = typeof field["description"] === "string" ? `  // ${text(field["description"])}` : "";
    return `${inner}${text(name)}${mark}: ${shape(field, inner)}${note}`;
  });
  return lines.length === 0 ? "{}" : `{\n${lines.join("\n")}\n${indent}}`;
}

function link(name: string): string {
  return `<a href="#schema-${slug(name)}">${text(name)}</a>`;
}

function slug(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
}

function text(value: string): string {
  return value.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** Text whose `code` is marked. */
function code(value: string): string {
  return text(value).replace(/`([^`]+)`/g, "<code>$1</code>");
}
