import { decode, type Wire } from "../../sdk/port/codec.ts";
import { formatId, scheduleId } from "../../sdk/port/id.ts";
import { check } from "../../sdk/define/schema.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import { each } from "../../sdk/client/page.ts";
import type { Paging, Target } from "../../sdk/port/target.ts";
import { Journals } from "./journal.ts";
import type { Group, Pending } from "./report.ts";
import { saidOf } from "../../sdk/port/text.ts";

/** More kinds of complaint about one job than that are told as one. */
const mostKinds = 20;
const otherKinds = "other complaints";

/** Parses the payloads of all pending runs and of schedules made at run time, as an attempt would, page by page, and replays the journals of
 *  those that wait. Changes nothing.
 *  `known` are the jobs by id; null: not to be touched. `before` hears whose payload comes; null: a page is read.
 *  @throws {StoreUnavailable} {StoreUnusable} */
export async function payloads(
  { find, schedules, flow }: Pick<Target, "find" | "flow"> & Partial<Pick<Target, "schedules">>,
  known: ReadonlyMap<string, JobSpec | null>,
  before: (job: string | null) => void,
): Promise<Pending> {
  const groups = new Groups();
  const counts = { run: { checked: 0, broken: 0 }, schedule: { checked: 0, broken: 0 } };
  const journals = new Journals(flow);
  /** Answers the job, if it takes the payload. */
  const look = async (count: { checked: number; broken: number }, stored: Stored): Promise<JobSpec | null> => {
    const spec = known.get(stored.job);
    if (spec === undefined) groups.add(stored, null);
    if (!spec) return null;
    before(stored.job);
    const why = await complaintOf(spec, stored.input);
    count.checked++;
    if (why === null) return spec;
    count.broken++;
    groups.add(stored, why);
    return null;
  };
  const pending = (page: Paging): ReturnType<typeof find.list> => {
    before(null);
    return find.list({ status: ["pending", "waiting"] }, page);
  };
  for await (const run of each(pending)) {
    const stored = { job: run.job, id: formatId(run.id), input: run.input };
    const spec = await look(counts.run, { what: "pending run", ...stored });
    const verdict = spec && (await journals.judge(run, spec));
    if (verdict) groups.add({ what: "waiting run", ...stored, parks: verdict.parks }, verdict.why);
  }
  if (!schedules)
    return { ...counts.run, schedules: counts.schedule, journals: journals.counts, groups: groups.list() };
  const made = (page: Paging): ReturnType<typeof schedules.list> => {
    before(null);
    return schedules.list({ declared: false }, page);
  };
  for await (const one of each(made))
    await look(counts.schedule, { what: "schedule", job: one.job, id: scheduleId(one), input: one.input });
  return { ...counts.run, schedules: counts.schedule, journals: journals.counts, groups: groups.list() };
}

interface Stored {
  readonly what: Group["what"];
  readonly job: string;
  readonly id: string;
  readonly input: Wire;
}

/** What an attempt would have to say against a stored payload; null: nothing. */
async function complaintOf({ schema }: JobSpec, input: Wire): Promise<string | null> {
  try {
    const { issues } = await check(schema, decode(input));
    if (!issues) return null;
    const told = issues.slice(0, 3).map(({ path, message }) => `${path ? `payload.${path}` : "payload"}: ${message}`);
    return told.join("; ") || "payload: refused without a reason";
  } catch (error) {
    return `its schema throws: ${saidOf(error)}`;
  }
}

type Told = Pick<Group, "what" | "job" | "parks"> & { readonly id: string };
type Counted = { -readonly [K in keyof Group]: Group[K] };

/** Complaints, alike ones together. */
class Groups {
  readonly #byJob = new Map<string, Map<string | null, Counted>>();

  add({ what, job, id, parks }: Told, why: string | null): void {
    const name = `${what} ${parks} ${job}`;
    const kinds = this.#byJob.get(name) ?? new Map<string | null, Counted>();
    this.#byJob.set(name, kinds);
    const kind = kinds.has(why) || kinds.size < mostKinds ? why : otherKinds;
    const group = kinds.get(kind) ?? { what, job, why: kind, count: 0, ids: [], ...(parks !== undefined && { parks }) };
    kinds.set(kind, group);
    group.count++;
    if (group.ids.length < 3) group.ids = [...group.ids, id];
  }

  /** By job, runs before schedules, the most frequent first. */
  list(): readonly Group[] {
    const groups = [...this.#byJob.values()].flatMap((kinds) => [...kinds.values()]);
    return groups.sort(
      (a, b) => order(a.job, b.job) || order(a.what, b.what) || b.count - a.count || order(a.why ?? "", b.why ?? ""),
    );
  }
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
