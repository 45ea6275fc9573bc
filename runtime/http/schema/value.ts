/** Schemas that several routes share, and how values of payloads come in. */
import { z } from "zod";
import { decode, encode } from "../../../sdk/port/codec.ts";
import { statuses, reasons, type Reason, type Status } from "../../../sdk/port/status.ts";
import type { DurationText } from "../../../sdk/port/duration.ts";

/** Names of the schemas that the document lists by themselves. */
export const named = z.registry<{ id?: string; description?: string; example?: unknown }>();

/** Gives a schema a name in the document. */
export function name<T extends z.ZodType>(id: string, schema: T): T {
  named.add(schema, { id });
  return schema;
}

/** The schema with what it is for, in the document; others that use it stay as they are. */
export function about<T extends z.ZodType>(description: string, schema: T): T {
  const copy = schema.clone();
  named.add(copy, { description });
  return copy;
}

export const instant = z.iso.datetime({ offset: true });
/** An instant that comes in. */
export const when = instant.transform((text) => new Date(text));
export const span = z
  .string()
  .max(64)
  .regex(/^(?:\d+(?:ms|s|m|h|d)){1,5}$/, 'it is no duration; write it like "500ms", "30s" or "1h30m"')
  .transform((text) => text as DurationText);
export const status = z.enum(statuses as [Status, ...Status[]]);
export const reason = z.enum(reasons as unknown as [Reason, ...Reason[]]);
export const runId = z.string().regex(/^run_[0-9a-z]{1,11}$/, 'it is no run id; ids look like "run_2n9c"');
export const jobId = z.string().regex(/^[A-Za-z0-9_.:/-]{1,128}$/, "use 1 to 128 letters, digits and any of _ . : / -");
export const priority = z.int().min(0).max(9);
export const count = z.int().min(0);
/** A number of the store. */
export const whole = z.int();

/** The types of a payload that JSON lacks, by their paths, as superjson notes them; absent where it is plain JSON. */
export const meta = about(
  "Types that JSON lacks, by path, as superjson notes them; absent where there are none",
  z.unknown(),
);

export const paging = {
  cursor: about("What the page before gave as `next`", z.string().optional()),
  limit: about("1–200, 50 by default", z.int().min(1).max(200).optional()),
};

/** A page of a list. */
export function pageOf<T extends z.ZodType>(id: string, item: T, more: z.ZodRawShape = {}) {
  return name(
    id,
    z.object({
      items: z.array(item),
      next: about("The cursor of the page after this one; null at the end", z.string().nullable()),
      complete: about("False if a search stopped at its bound before it had looked at everything", z.boolean()),
      ...more,
    }),
  );
}

/** A value as it came: plain JSON, or what `meta` makes of it.
 *  @throws {NotStorable} {InvalidInput} for a note that is none */
export function valueOf(json: unknown, note: unknown, what = "payload"): unknown {
  if (note === undefined || note === null) return json;
  return decode({ json: encode(json, what).json, meta: encode(note, `${what}Meta`).json });
}
