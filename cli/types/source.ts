import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { JsonSchema } from "../../sdk/define/lift.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import type { JobRecord } from "../../sdk/port/target.ts";

/** What is known of a job's types. `{}` stands for anything. */
export interface Typed {
  readonly id: string;
  readonly description: string | null;
  readonly input: JsonSchema;
  readonly output: JsonSchema;
}

/** Of a job in the code. */
export function ofJob({ id, description, jsonSchema, output }: JobSpec): Typed {
  return { id, description, input: parsed(jsonSchema), output: output === null ? {} : outputOf(output) };
}

/** Of a job that processes published: its result is not known. */
export function ofRecord({ id, description, schema }: JobRecord): Typed {
  return { id, description, input: parsed(schema), output: {} };
}

function parsed(schema: string | null): JsonSchema {
  return schema === null ? {} : (JSON.parse(schema) as JsonSchema);
}

/** What a schema of zod 4.2 or later has to say of one of its nodes. */
interface Node {
  readonly zodSchema: {
    readonly _zod: { readonly def: { readonly type: string; readonly values?: readonly unknown[] } };
  };
  readonly jsonSchema: Record<string, unknown>;
}
type Convert = (options: { readonly target: string; readonly libraryOptions: object }) => unknown;

/** JSON Schema of what a schema gives, marked as `jsonSchemaOf` marks what it takes. `{}` where the library can't tell. */
function outputOf(schema: StandardSchemaV1): JsonSchema {
  try {
    const props = schema["~standard"] as { readonly jsonSchema?: { readonly output?: Convert } };
    const found = props.jsonSchema?.output?.({
      target: "draft-2020-12",
      libraryOptions: { unrepresentable: "any", override: mark },
    });
    return typeof found === "object" && found !== null ? (found as JsonSchema) : {};
  } catch {
    return {};
  }
}

const marks: Readonly<Record<string, string>> = { date: "Date", bigint: "bigint", map: "Map", set: "Set" };

function mark({ zodSchema, jsonSchema }: Node): void {
  const { type, values = [] } = zodSchema._zod.def;
  if (marks[type] !== undefined) jsonSchema["x-type"] = marks[type];
  if (values.some((value) => typeof value === "bigint" || value === undefined))
    for (const key of Object.keys(jsonSchema)) delete jsonSchema[key]; // literals that JSON Schema would call by another name
}
