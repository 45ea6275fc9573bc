import type { StandardSchemaV1 } from "@standard-schema/spec";
import { InvalidInput } from "../port/error.ts";
import { checkKeys, checkName, isRecord, wrong } from "../port/option.ts";
import { checkSchema } from "./schema.ts";

/** Something that can be sent to a workflow. `Output` is what its schema makes of a payload of type `Input`. */
export interface EventSpec<Id extends string = string, Output = unknown, Input = unknown> {
  readonly kind: "event";
  readonly id: Id;
  readonly schema: StandardSchemaV1<Input, Output>;
}

const keys = new Set(["id", "schema"]);

/** Defines what can be sent to workflows with `signal`, and waited for with `ctx.waitFor`.
 *  @throws {InvalidInput} naming the option that is invalid. */
export function defineEvent<const Id extends string, Schema extends StandardSchemaV1>(options: {
  /** 1–128 letters, digits and `_ . : / -`. */
  readonly id: Id;
  /** Any Standard Schema. `signal` takes its input, `ctx.waitFor` resolves with its output. */
  readonly schema: Schema;
}): EventSpec<Id, StandardSchemaV1.InferOutput<Schema>, StandardSchemaV1.InferInput<Schema>> {
  if (typeof options !== "object" || options === null)
    throw new InvalidInput("defineEvent takes one object: { id, schema }");
  checkKeys("defineEvent", options, keys);
  const id = checkName("id", options.id) as Id;
  checkSchema(`event "${id}"`, options.schema);
  return {
    kind: "event",
    id,
    schema: options.schema,
  };
}

/** The name that an event is sent under.
 *  @throws {InvalidInput} for what is neither a name nor an event */
export function eventId(event: EventSpec | string): string {
  if (typeof event === "string") return checkName("event", event);
  if (!isRecord(event)) throw wrong("event", event, "is neither a name nor what defineEvent made");
  return checkName("event", event.id);
}
