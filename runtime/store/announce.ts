/** Tells of what application code does: of runs that it adds, and of its acts. */
import type { RunEvent } from "../../sdk/port/event.ts";
import { formatId, scheduleId } from "../../sdk/port/id.ts";
import type {
  Act,
  Added,
  Desk,
  Find,
  Mailbox,
  NewRun,
  RunRecord,
  ScheduleName,
  Schedules,
  Target,
} from "../../sdk/port/target.ts";
import type { Outlet } from "./outlet.ts";

/** Who is told of what. */
interface Voice {
  readonly find: Pick<Find, "list">;
  readonly outlet: Outlet;
}
type About = Pick<RunEvent, "type" | "reason">;
type Publish = Pick<Outlet, "publish">;

/** The target, with an outlet that is told of each change once it is stored. Nobody waits for that. */
export function announced(to: Target, outlet: Outlet): Target {
  const voice = { find: to.find, outlet };
  return {
    ...to,
    add(batch, tx) {
      const adding = to.add(batch, tx);
      // In a transaction they do not exist yet.
      return tx ? adding : told(outlet, adding, (answers) => tellAdded(outlet, batch, answers));
    },
    desk: desk(to.desk, voice),
    schedules: schedules(to.schedules, outlet),
    flow: mailbox(to.flow, voice),
    async close() {
      await outlet.end();
      await to.close();
    },
  };
}

/** Tells of runs that were added. */
export function tellAdded(
  to: Publish,
  batch: readonly Pick<NewRun, "job" | "queue" | "tags">[],
  answers: readonly (Added | Error)[],
): void {
  for (const [i, answer] of answers.entries()) {
    if (answer instanceof Error || !answer.created) continue;
    const { job, queue, tags } = batch[i]!;
    to.publish({ type: "run.scheduled", run: formatId(answer.id), job, queue, tags, attempt: 0 });
  }
}

/** Tells of runs, which it looks up by their numbers. */
export async function tellRuns(find: Voice["find"], to: Publish, ids: readonly number[], about: About): Promise<void> {
  for (const record of await records(find, ids)) to.publish(eventOf(record, about));
}

/** Calls `tell` with an answer if anybody hears. */
function told<T>(outlet: Outlet, asking: Promise<T>, tell: (answer: T) => void | Promise<void>): Promise<T> {
  asking.then(
    (answer) => {
      if (!outlet.active) return;
      const telling = tell(answer);
      if (telling) outlet.after(telling.catch(() => undefined)); // the act itself is done
    },
    () => undefined,
  );
  return asking;
}

function desk(own: Desk, { find, outlet }: Voice): Desk {
  const acted = (asking: Promise<readonly Act[]>, about: About): Promise<readonly Act[]> =>
    told(outlet, asking, (acts) => tellRuns(find, outlet, done(acts), about));
  const paused = new Pauses();
  return {
    cancel: (ids, reason = "user") => acted(own.cancel(ids, reason), { type: "run.canceled", reason }),
    revive: (ids, from) => acted(own.revive(ids, from), { type: "run.resumed", reason: from }),
    edit(id, change) {
      const editing = own.edit(id, change);
      return told(outlet, editing, (act) => tellRuns(find, outlet, done([act]), { type: "run.edited" }));
    },
    pause: (queue, pausing) =>
      told(outlet, own.pause(queue, pausing), () => {
        if (paused.isNew(queue, pausing)) outlet.publish({ type: pausing ? "queue.paused" : "queue.resumed", queue });
      }),
    async purge(filter, limit) {
      const ids = outlet.active ? (filter.ids ?? []) : [];
      const before = await records(find, ids).catch(() => []);
      return told(outlet, own.purge(filter, limit), async (count) => {
        if (count === 0 || filter.attempt) return;
        if (before.length === 0) return outlet.publish({ type: "runs.purged", count });
        const left = new Set((await records(find, ids)).map(({ id }) => id));
        for (const record of before) if (!left.has(record.id)) outlet.publish(eventOf(record, { type: "run.deleted" }));
      });
    },
  };
}

function schedules(own: Schedules, outlet: Outlet): Schedules {
  type Change = "changed" | "paused" | "resumed" | "removed";
  const tell = (name: ScheduleName, what: Change): void =>
    outlet.publish({ type: `schedule.${what}`, schedule: scheduleId(name), job: name.job });
  return {
    ...own,
    put: (batch) =>
      told(outlet, own.put(batch), (answers) => {
        for (const one of answers) if (!(one instanceof Error)) tell(one, "changed");
      }),
    pause: (name, paused) =>
      told(outlet, own.pause(name, paused), (record) => {
        if (record) tell(name, paused ? "paused" : "resumed");
      }),
    remove: (name) =>
      told(outlet, own.remove(name), (removed) => {
        if (removed) tell(name, "removed");
      }),
  };
}

function mailbox(own: Mailbox, { find, outlet }: Voice): Mailbox {
  return {
    ...own,
    mend(...mend) {
      const mending = own.mend(...mend);
      return told(outlet, mending, (act) => tellRuns(find, outlet, done([act]), { type: "run.edited" }));
    },
  };
}

/** A pause is repeated until nodes have given back what they had: for so long, ms, repeats are not told of. */
const repeatsMs = 5000;

class Pauses {
  readonly #told = new Map<string, number>();

  isNew(queue: string, pausing: boolean): boolean {
    const now = performance.now();
    if (!pausing) return this.#told.delete(queue) || true;
    for (const [name, at] of this.#told) if (now - at > repeatsMs) this.#told.delete(name);
    if (this.#told.has(queue)) return false;
    this.#told.set(queue, now);
    return true;
  }
}

function done(acts: readonly Act[]): readonly number[] {
  return acts.flatMap((act) => (act.done === "done" ? [act.id] : []));
}

/** What a page takes. */
const most = 200;

/** Runs by their numbers, in their order. */
async function records(find: Voice["find"], ids: readonly number[]): Promise<readonly RunRecord[]> {
  const found: RunRecord[] = [];
  for (let from = 0; from < ids.length; from += most) {
    const some = ids.slice(from, from + most);
    const { items } = await find.list({ ids: some, hooks: true }, { limit: most });
    const byId = new Map(items.map((record) => [record.id, record]));
    found.push(...some.flatMap((id) => byId.get(id) ?? []));
  }
  return found;
}

function eventOf({ id, job, queue, tags, attempt }: RunRecord, about: About) {
  return { run: formatId(id), job, queue, tags, attempt, ...about };
}
