import { StoreUnusable } from "../../sdk/port/error.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import { openStore } from "../../runtime/store/open.ts";
import { many } from "../view/finding.ts";
import { mostReplays } from "./journal.ts";
import { payloads } from "./payload.ts";
import { complaint, type Asked, type Complaint, type Group, type Pending, type Report } from "./report.ts";
import { saidOf } from "../../sdk/port/text.ts";

type Found = Pick<Report, "errors" | "warnings" | "notes" | "pending">;
const nothing: Found = { errors: [], warnings: [], notes: [], pending: null };

/** Compares what is stored in the database with the jobs. Nothing is changed, nor migrated. Never throws: a database that is away
 *  is an error where somebody named it. */
export async function stored(
  database: Asked["database"],
  known: ReadonlyMap<string, JobSpec | null>,
  before: (job: string | null) => void,
): Promise<Found> {
  if (!database) return nothing;
  let lacking: readonly string[] = [];
  try {
    const { pending: missing } = await import("../../runtime/store/admin.ts");
    lacking = await missing(database);
    if (lacking.includes("001")) return { ...nothing, notes: [complaint(noSchema(database.schema))] };
    const found = await compared(database, known, before, lacking.includes("002")); // 002 makes the table of schedules
    return { ...found, warnings: [...lacks(lacking), ...found.warnings] };
  } catch (error) {
    const said = complaint(`pending runs were not checked: ${saidOf(error)}`);
    if (lacking.length > 0 && error instanceof StoreUnusable)
      return { ...nothing, warnings: [...lacks(lacking), said] };
    return database.named ? { ...nothing, errors: [said] } : { ...nothing, notes: [said] };
  }
}

async function compared(
  database: NonNullable<Asked["database"]>,
  known: ReadonlyMap<string, JobSpec | null>,
  before: (job: string | null) => void,
  noSchedules: boolean,
): Promise<Found> {
  const store = await openStore(database.url, database);
  const awake = setInterval(() => undefined, 1000); // an idle connection keeps no process up
  try {
    const pending = await payloads(noSchedules ? { find: store.find, flow: store.flow } : store, known, before);
    const { groups } = pending;
    const broken = groups.filter((group) => !isGone(group) && group.parks !== false);
    const unclear = groups.filter(({ parks }) => parks === false);
    return {
      ...{
        errors: broken.map(breaks),
        warnings: groups.filter(isGone).map(lonely),
        notes: [...unclear.map(unsaid), ...rest(pending)],
      },
      pending,
    };
  } finally {
    clearInterval(awake);
    await store.close();
  }
}

function isGone({ why }: Group): boolean {
  return why === null;
}

function breaks(group: Group): Complaint {
  const { what, job, why, count, parks } = group;
  const does = parks ? "park" : "break";
  return complaint(`deploying this would ${does} ${many(count, what)} of "${job}": ${why} (${idsOf(group)})`, { job });
}

function unsaid(group: Group): Complaint {
  const { what, job, why, count } = group;
  const said = `whether this code fits the journals of ${many(count, what)} of "${job}" can't be told`;
  return complaint(`${said}: ${why} (${idsOf(group)})`, { job });
}

function rest({ journals: { left } }: Pending): readonly Complaint[] {
  return left > 0
    ? [complaint(`${many(left, "journal")} of older runs were not replayed: the newest ${mostReplays} of a job are`)]
    : [];
}

function idsOf({ ids, count }: Group): string {
  return ids.join(", ") + (count > ids.length ? " …" : "");
}

function lonely({ what, job, count }: Group): Complaint {
  const they = what === "schedule" ? (count === 1 ? "its runs" : "their runs") : count === 1 ? "it" : "they";
  return complaint(`${many(count, what)} of "${job}": no job of that id; ${they} would wait until a node has it`, {
    job,
  });
}

function noSchema(schema: string): string {
  return `the database has no schema "${schema}" yet, so nothing is pending; a process that starts makes it, or: tasker migrate`;
}

function lacks(lacking: readonly string[]): readonly Complaint[] {
  if (lacking.length === 0) return [];
  const next = "a process that starts brings it up to date, or: tasker migrate";
  return [complaint(`the schema is older than this version (missing: ${lacking.join(", ")}); ${next}`)];
}
