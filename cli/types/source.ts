import type { JsonSchema } from "../../sdk/define/lift.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import type { JobRecord } from "../../sdk/port/target.ts";
import { told, type Node } from "../../sdk/define/schema.ts";

/** What is known of a job's types. `{}` stands for anything. */
export interface Typed {
  readonly id: string;
  readonly description: string | null;
  readonly input: JsonSchema;
  readonly output: JsonSchema;
}

/** Of a job in the code. */
export function ofJob({ id, description, jsonSchema, output }: JobSpec): Typed {
  return {
    id,
    description,
    input: parsed(jsonSchema),
    output: (output && told(output, "output", mark, (found) => found as JsonSchema)) ?? {},
  };
}

/** Of a job that processes published: its result is not known. */
export function ofRecord({ id, description, schema }: JobRecord): Typed {
  return { id, description, input: parsed(schema), output: {} };
}

function parsed(schema: string | null): JsonSchema {
  return schema === null ? {} : (JSON.parse(schema) as JsonSchema);
}

const marks: Readonly<Record<string, string>> = { date: "Date", bigint: "bigint", map: "Map", set: "Set" };

function mark({ zodSchema, jsonSchema }: Node): void {
  const { type, values = [] } = zodSchema._zod.def;
  if (marks[type] !== undefined) jsonSchema["x-type"] = marks[type];
  if (values.some((value) => typeof value === "bigint" || value === undefined))
    for (const key of Object.keys(jsonSchema)) delete jsonSchema[key]; // literals that JSON Schema would call by another name
}
