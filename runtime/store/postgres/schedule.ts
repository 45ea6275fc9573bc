import { InvalidInput } from "../../../sdk/port/error.ts";
import { scheduleId } from "../../../sdk/port/id.ts";
import { timingOf } from "../../../sdk/define/rule.ts";
import type {
  NewSchedule,
  ScheduleFilter,
  ScheduleName,
  SchedulePage,
  ScheduleRecord,
  Schedules,
} from "../../../sdk/port/target.ts";
import { declared, placeAt, served as isServed } from "../guard.ts";
import type { Bounds } from "../port.ts";
import type { Watching } from "./feed.ts";
import { fields, numbers, type Pool, texts } from "./pool.ts";
import * as read from "./sql/schedule.ts";
import type { Statements } from "./sql.ts";

/** The schedules of the Postgres store. */
export function schedules(pool: Pool, sql: Statements, watching: Watching): Schedules {
  const text = read.schedule(sql);
  const records = async (names: readonly ScheduleName[]): Promise<ReadonlyMap<string, ScheduleRecord>> => {
    const rows = await pool.rows("tasker_schedules_get", text.get, fields(names, "job", "key"));
    return new Map(read.record.all(rows).map((row) => [scheduleId(row), recordOf(row)]));
  };
  const get = async (name: ScheduleName): Promise<ScheduleRecord | null> =>
    (await records([name])).get(scheduleId(name)) ?? null;

  return {
    list: (filter, page: Bounds) => list(pool, text, filter, page),
    async put(batch) {
      const rows = watching.in(await pool.rows("tasker_schedules_put", text.put, columnsOf(batch)));
      const done = new Set(read.name.all(rows).map(scheduleId));
      const stored = await records(batch.filter((one) => done.has(scheduleId(one))));
      return batch.map((one) => {
        const id = scheduleId(one);
        return done.has(id) ? (stored.get(id) ?? gone(id)) : declared(one);
      });
    },
    async pause(name, paused) {
      const names = [name.job, name.key];
      const [own, statement] = paused
        ? ["tasker_schedules_pause", text.pause]
        : ["tasker_schedules_resume", text.resume];
      watching.in(await pool.rows(own, statement, names));
      return get(name);
    },
    async remove(name) {
      const [row] = watching.in(await pool.rows("tasker_schedules_remove", text.remove, [name.job, name.key]));
      if (row) return true;
      const left = await get(name);
      if (left?.declared && left.served) throw isServed(name);
      return false;
    },
  };
}

function gone(id: string): InvalidInput {
  return new InvalidInput(`schedule "${id}" was removed by somebody else at this moment; make it again`);
}

const overlaps = { allow: 0, skip: 1, cancel: 2 } as const;

/** Schedules as parameters of `scheduleRows`. */
export function columnsOf(list: readonly NewSchedule[]): readonly string[] {
  return [
    ...fields(list, "job", "key"),
    numbers(list.map(({ rule }) => overlaps[rule.overlap])),
    texts(list.map(({ rule }) => JSON.stringify(rule))),
    texts(list.map(({ rule }) => timingOf(rule))),
    texts(list.map(({ input }) => input.json)),
    texts(list.map(({ input }) => input.meta)),
    ...fields(list, "queue", "priority"),
    texts(list.map(({ tags }) => JSON.stringify(tags))),
  ];
}

async function list(
  pool: Pool,
  text: ReturnType<typeof read.schedule>,
  { job, key, paused, declared: byCode }: ScheduleFilter,
  { cursor, limit }: Bounds,
): Promise<SchedulePage> {
  const after = cursor === undefined ? null : placeAt(cursor);
  const jobs = job ? texts(job) : null;
  const values = [jobs, paused ?? null, byCode ?? null, after?.job ?? null, after?.key ?? null, limit + 1];
  const rows =
    key === undefined
      ? await pool.rows("tasker_schedules_list", text.list, values)
      : await pool.rows("tasker_schedules_named", text.named, [...values, key]);
  const found = read.record.all(rows, read.clocked.width).map(recordOf);
  const items = found.slice(0, limit);
  const last = items.at(-1);
  const next = found.length > limit && last ? JSON.stringify([last.job, last.key]) : null;
  return { items, next, complete: true, at: read.clocked.read(rows[0]!).at };
}

function recordOf(row: ReturnType<typeof read.record.read>): ScheduleRecord {
  const { lastRun, lastStatus, lastReason, ...rest } = row;
  return { ...rest, last: lastStatus && { run: lastRun!, status: lastStatus, reason: lastReason } };
}
