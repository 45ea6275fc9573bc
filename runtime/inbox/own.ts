/** Items as tasker has them: `job`, `runAt`, `cron` and their like. */
import type { DurationText } from "../../sdk/port/duration.ts";
import { invalid } from "../../sdk/port/error.ts";
import { checkKeys, checkText, present, wrong } from "../../sdk/port/option.ts";
import { instant, type Item, type When } from "./item.ts";

const keys = [
  ...["job", "payload", "delay", "runAt", "cron", "every", "timezone"],
  ...["retry", "tags", "priority", "description", "id"],
] as const;
const known = new Set<string>(keys);

/** @throws {InvalidInput} naming the field. What a run or a schedule checks itself is not checked here. */
export function own(value: object): Item {
  checkKeys("an item", value, known);
  const given: Readonly<Partial<Record<(typeof keys)[number], unknown>>> = present(value);
  const { job, id, retry, tags, priority } = given;
  if (typeof job !== "string") throw invalid("job", 'job is missing; write "job": "hello"');
  if (given.description !== undefined && typeof given.description !== "string")
    throw wrong("description", given.description, "is not a text");
  return {
    job,
    payload: (value as { readonly payload?: unknown }).payload, // null is a payload
    id: id === undefined ? null : checkText("id", id, 256),
    ...whenOf(given),
    ...({ retry, tags, priority } as Pick<Item, "retry" | "tags" | "priority">), // checked where they are used
    names: {},
  };
}

/** The first of them that is given counts. */
const order = ["cron", "every", "runAt", "delay"] as const;

function whenOf(
  given: Readonly<Partial<Record<(typeof order)[number] | "timezone", unknown>>>,
): Pick<Item, "when" | "notes"> {
  const { cron, every, runAt, delay, timezone } = given;
  const [kind, ...rest] = order.filter((one) => given[one] !== undefined);
  const notes = rest.map((one) => `${one} does not count: the item has ${kind}`);
  if (timezone !== undefined && kind !== "cron") notes.push("timezone does not count: the item has no cron");
  const when = (): When => {
    switch (kind) {
      case "cron":
        return { kind, cron: cron as string, timezone: timezone as string | undefined }; // checked as a rule, as the next one is
      case "every":
        return { kind, every: every as DurationText };
      case "runAt":
        return { kind, runAt: instant("runAt", runAt) };
      case "delay":
        return { kind, delay: delay as DurationText }; // checked as an option of the run
      default:
        return { kind: "now" };
    }
  };
  return { when: when(), notes };
}
