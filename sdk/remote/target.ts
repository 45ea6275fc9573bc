/** The HTTP API as what `trigger`, `runs`, `schedules` and the rest talk to: a call of it is one request. */
import { NotSupported, ScheduleNotFound, TaskerError } from "../port/error.ts";
import type { Entry, Sent as MailSent } from "../port/flow.ts";
import type { FeedPage, FeedView, Watched } from "../port/feed.ts";
import { formatId, parseId, scheduleId } from "../port/id.ts";
import type {
  Act,
  Added,
  Bucket,
  Desk,
  Find,
  Mailbox,
  NewRun,
  Page,
  RunFilter,
  ScheduleName,
  Schedules,
  Target,
  Tx,
} from "../port/target.ts";
import { caller, type Call, type RemoteOptions } from "./call.ts";
import { errorOf, type Problem } from "./error.ts";
import * as read from "./read.ts";

export type { RemoteOptions } from "./call.ts";

/** A target that can be opened: it asks whether the server is one, and whether the token is known. */
export interface Remote extends Target {
  readonly name: string;
  open(signal?: AbortSignal): Promise<void>;
}

/** The server at an address, as a target.
 *  @throws {InvalidInput} for an address that is none */
export function remote(options: RemoteOptions): Remote {
  const { name, call } = caller(options);
  return {
    name,
    open: async (signal) => void (await call("GET", "/version", { signal })),
    close: () => Promise.resolve(),
    add: (batch, tx) => add(name, call, batch, tx),
    ...{ find: find(call), desk: desk(call), schedules: schedules(call) },
    ...{ flow: mailbox(name, call), feed: feed(call) },
  };
}

interface Items<T> {
  readonly items: readonly T[];
}
type Failed = { readonly error: Problem };

/** What the server takes at once. */
const most = 1000;

async function inParts<T, A>(items: readonly T[], send: (part: readonly T[]) => Promise<readonly A[]>): Promise<A[]> {
  const answers: A[] = [];
  for (let from = 0; from < items.length; from += most) answers.push(...(await send(items.slice(from, from + most))));
  return answers;
}

function add(name: string, call: Call, batch: readonly NewRun[], tx: Tx | undefined): Promise<(Added | Error)[]> {
  noTx(name, tx);
  return inParts(batch, async (part) => {
    type Answer = (Omit<Added, "id"> & { readonly id: string }) | Failed;
    const { items } = await call<Items<Answer>>("POST", "/runs", { body: part.map(newRunDoc) });
    return items.map((one) => ("error" in one ? errorOf(one.error) : { ...one, id: parseId(one.id) }));
  });
}

function newRunDoc({ input, replayOf, journal, ...same }: NewRun): object {
  return {
    ...same,
    ...read.sentOf("payload", input),
    replayOf: replayOf === null ? null : formatId(replayOf),
    ...(journal && { journal: journal.map(entryDoc) }),
  };
}

function find(call: Call): Find {
  return {
    get: async (id) => {
      const doc = await orNull("RUN_NOT_FOUND", () => call<read.RunDoc>("GET", `/runs/${formatId(id)}`));
      return doc && read.runOf(doc);
    },
    list: async (filter, page) => {
      const found = await call<Page<read.RunDoc>>("POST", "/runs/search", { body: { ...filterDoc(filter), ...page } });
      return { ...found, items: found.items.map(read.runOf) };
    },
    attempts: async ({ run, job }, page) => {
      const path = run === undefined ? "/attempts" : `/runs/${formatId(run)}/attempts`;
      const query = { ...(run === undefined && { job }), ...page };
      const none: Page<read.AttemptDoc> = { items: [], next: null, complete: true };
      const found = (await orNull("RUN_NOT_FOUND", () => call<Page<read.AttemptDoc>>("GET", path, { query }))) ?? none;
      return { ...found, items: found.items.map(read.attemptOf) };
    },
    logs: async (run, page) => {
      const path = `/runs/${formatId(run)}/logs`;
      const none: Page<read.LogDoc> = { items: [], next: null, complete: true };
      const query = { ...page };
      const found = (await orNull("RUN_NOT_FOUND", () => call<Page<read.LogDoc>>("GET", path, { query }))) ?? none;
      return { ...found, items: found.items.map(read.logOf) };
    },
    stats: async (query = {}) => read.statsOf(await call("GET", "/stats", { query: { ...query } })),
    series: async ({ from, to, stepMs, ...which }) => {
      const query = { ...which, from: from.toISOString(), to: to.toISOString(), step: `${stepMs}ms` };
      const { items } = await call<Items<read.Sent<Bucket>>>("GET", "/stats/buckets", { query });
      return items.map((bucket) => ({ ...bucket, at: new Date(bucket.at) }));
    },
    jobs: async () => (await call<Items<read.JobDoc>>("GET", "/jobs")).items.map(read.jobOf),
    facts: async (id) => {
      const doc = await orNull("RUN_NOT_FOUND", () => call<read.FactsDoc>("GET", `/runs/${formatId(id)}/facts`));
      return doc && read.factsOf(doc);
    },
    awaited: async (id, waitMs, signal) => {
      const wait = Math.min(60_000, Math.max(0, Math.ceil(waitMs)));
      const request = { query: { wait: `${wait}ms` }, waitMs: wait, signal };
      const asking = (): Promise<read.RunDoc> => call("GET", `/runs/${formatId(id)}`, request);
      try {
        const doc = await orNull("RUN_NOT_FOUND", asking);
        return doc?.finishedAt ? read.runOf(doc) : null;
      } catch (error) {
        if (signal?.aborted) return null;
        throw error;
      }
    },
  };
}

function filterDoc({ ids, payload, ...same }: RunFilter): object {
  return {
    ...same,
    ...(ids && { ids: ids.map(formatId) }),
    ...(payload && { payload: Object.fromEntries(payload.map(({ path, value }) => [path.join("."), value])) }),
  };
}

function desk(call: Call): Desk {
  const acts = (verb: string, ids: readonly number[]): Promise<Act[]> =>
    inParts(ids, async (part) => {
      const body = { ids: part.map(formatId) };
      const { items } = await call<Items<read.ActDoc>>("POST", `/runs/${verb}`, { body });
      return items.map(read.actOf);
    });
  return {
    cancel: (ids) => acts("cancel", ids),
    revive: (ids, from) => acts(from === "failed" ? "retry" : "resume", ids),
    async edit(id, { dueAt, delayMs, input, priority, attempts }) {
      const body = {
        ...{ priority, attempts, runAt: dueAt },
        ...(delayMs !== undefined && { delay: `${Math.round(delayMs)}ms` }),
        ...(input && read.sentOf("payload", input)),
      };
      try {
        await call("PATCH", `/runs/${formatId(id)}`, { body });
        return { id, done: "done", status: "pending" };
      } catch (error) {
        const { code, status } = error as { readonly code?: string; readonly status?: Act["status"] };
        if (code === "RUN_NOT_FOUND") return { id, done: "missing", status: null };
        if (code === "WRONG_STATE") return { id, done: "refused", status: status ?? null };
        throw error;
      }
    },
    async pause(queue, paused) {
      await call("POST", `/queues/${encodeURIComponent(queue)}/${paused ? "pause" : "resume"}`);
      return 0; // the server has waited for the nodes
    },
    async purge({ ids, attempt, ...same }, limit) {
      if (attempt) {
        const path = `/runs/${formatId(attempt.run)}/attempts/${attempt.token}`;
        const gone = await orNull("RUN_NOT_FOUND", () => call<{ readonly deleted: boolean }>("DELETE", path));
        return gone?.deleted ? 1 : 0;
      }
      const body = { ...same, ...(ids && { ids: ids.map(formatId) }), limit };
      return (await call<{ readonly purged: number }>("POST", "/runs/purge", { body })).purged;
    },
  };
}

function schedules(call: Call): Schedules {
  const pathOf = (name: ScheduleName): string => `/schedules/${encodeURIComponent(scheduleId(name))}`;
  return {
    put: (batch) =>
      inParts(batch, async (part) => {
        const body = part.map(({ input, ...same }) => ({ ...same, ...read.sentOf("payload", input) }));
        const { items } = await call<Items<read.ScheduleDoc | Failed>>("POST", "/schedules", { body });
        return items.map((one) => ("error" in one ? errorOf(one.error) : read.scheduleOf(one)));
      }),
    async list(filter, page) {
      type Found = Page<read.ScheduleDoc> & { readonly at: string };
      const found = await call<Found>("GET", "/schedules", { query: { ...filter, ...page } });
      return { ...found, at: new Date(found.at), items: found.items.map(read.scheduleOf) };
    },
    async pause(name, paused) {
      const path = `${pathOf(name)}/${paused ? "pause" : "resume"}`;
      const doc = await orNull("SCHEDULE_NOT_FOUND", () => call<read.ScheduleDoc>("POST", path));
      return doc && read.scheduleOf(doc);
    },
    async remove(name) {
      try {
        await call("DELETE", pathOf(name));
        return true;
      } catch (error) {
        if (error instanceof ScheduleNotFound) return false;
        throw error;
      }
    },
  };
}

function mailbox(name: string, call: Call): Mailbox {
  return {
    send(batch, tx) {
      noTx(name, tx);
      return inParts(batch, async (part) => {
        type Answer = Omit<MailSent, "id"> & { readonly id: string | null };
        const body = part.map(({ to, name, value, data }) => ({
          ...{ to: typeof to === "number" ? formatId(to) : to, name },
          ...(value && read.sentOf("payload", value)),
          ...(data !== null && (JSON.parse(data) as object)),
        }));
        const { items } = await call<Items<Answer>>("POST", "/signals", { body });
        return items.map(({ id, done }) => ({ id: id === null ? null : parseId(id), done }));
      });
    },
    async read(run) {
      const { items } = await call<Items<read.EntryDoc>>("GET", `/runs/${formatId(run)}/steps`);
      return items.map(read.entryOf);
    },
    async mend(run, entries, last, pin) {
      const body = { items: entries.map(entryDoc), last, ...(pin !== undefined && { pin }) };
      return read.actOf(await call("PUT", `/runs/${formatId(run)}/steps`, { body }));
    },
  };
}

function entryDoc({ atMs, value, data, runs, ...same }: Entry): object {
  return {
    ...same,
    at: new Date(atMs),
    ...(value && read.sentOf("value", value)),
    data: data === null ? null : (JSON.parse(data) as object),
    runs: runs && runs.map(formatId),
  };
}

function feed(call: Call): FeedView {
  return {
    watch: (forMs, since) =>
      call<Watched>("GET", "/feed/watch", {
        query: { for: `${Math.ceil(forMs)}ms`, since: since && Math.floor(since) },
      }),
    async read(cursor, waitMs, signal) {
      const wait = Math.min(60_000, Math.max(0, Math.ceil(waitMs)));
      try {
        return await call<FeedPage>("GET", "/feed", { query: { cursor, wait: `${wait}ms` }, waitMs: wait, signal });
      } catch (error) {
        if (signal?.aborted) return { lines: [], cursor };
        throw error;
      }
    },
  };
}

async function orNull<T>(code: string, ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof TaskerError && error.code === code) return null;
    throw error;
  }
}

function noTx(name: string, tx: Tx | undefined): void {
  if (tx) throw new NotSupported("a transaction (tx)", name, "it is reached over HTTP");
}
