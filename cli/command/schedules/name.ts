/** Ids of schedules on command lines. */
import { parseScheduleId } from "../../../sdk/port/id.ts";
import { ScheduleNotFound } from "../../../sdk/port/error.ts";
import type { schedulesOf } from "../../../sdk/client/schedules.ts";
import { parsed } from "../../config.ts";
import { hint } from "../../../sdk/port/near.ts";

/** The verbs on schedules, of the store at hand. */
export type Verbs = ReturnType<typeof schedulesOf>;

/** The ids that were given, without repeats.
 *  @throws {BadUsage} if one can't be an id */
export function idsOf(args: readonly string[]): readonly string[] {
  for (const id of args) parsed("schedule id", () => parseScheduleId(id));
  return [...new Set(args)];
}

/** `; did you mean "remind@user:7"?`, of the schedules of the same job, else of the first 200 of all; or nothing. */
export async function likely(id: string, schedules: Verbs): Promise<string> {
  const { job } = parseScheduleId(id);
  const own = await schedules.list({ job }, { limit: 200 });
  const { items } = own.items.length > 0 ? own : await schedules.list({}, { limit: 200 });
  return hint(
    id,
    items.map((each) => each.id),
  );
}

/** Calls, and adds near ids to the message of a schedule that is not found. */
export async function hinted<T>(id: string, schedules: Verbs, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof ScheduleNotFound) error.message += await likely(id, schedules);
    throw error;
  }
}

/** An id as a shell takes it for one word. */
export function quoted(id: string): string {
  return /^[\w@.:/-]+$/.test(id) ? id : `'${id.replaceAll("'", `'\\''`)}'`;
}
