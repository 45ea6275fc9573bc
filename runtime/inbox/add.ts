/** Adds what a file makes to the store, each item once. */
import { StoreUnavailable } from "../../sdk/port/error.ts";
import { fileMark, scheduleId } from "../../sdk/port/id.ts";
import type { Added, NewRun, NewSchedule, Target } from "../../sdk/port/target.ts";
import type { Made, Problem } from "./make.ts";

/** What became of the items of a file. */
export interface Loaded {
  /** Runs that were made, and those that were there already. */
  runs: number;
  existed: number;
  /** Schedules that were made or changed. */
  schedules: number;
  /** What the store refused. */
  readonly problems: Problem[];
}

/** Limits of one write. */
const [mostRuns, mostSchedules, mostBytes] = [1000, 500, 4 * 1024 * 1024];
/** How long the keys of items are held, whatever became of their runs: the file is marked as loaded long before. */
const keepMs = 7 * 86_400_000;

/** Collects items and adds them in batches. */
export class Adder {
  readonly loaded: Loaded = { runs: 0, existed: 0, schedules: 0, problems: [] };
  readonly #to: Target;
  /** Names the content; null: items without an id get no key, so that each call makes them anew. */
  readonly #hash: string | null;
  /** Since when an earlier load of this content may have been broken off. */
  readonly #since: Date | null;
  #n = 0;
  #bytes = 0;
  #runs: { readonly line: number; readonly run: NewRun }[] = [];
  #schedules = new Map<string, { readonly line: number; readonly schedule: NewSchedule }>();

  constructor(to: Target, hash: string | null, since: Date | null = null) {
    this.#to = to;
    this.#hash = hash;
    this.#since = since;
  }

  /** Takes the next item of the file; resolves once there is room for more.
   *  @throws {StoreUnavailable}: what was added stays, and is not added twice by another call */
  async add({ line, run, schedule, bytes }: Made): Promise<void> {
    const n = this.#n++;
    if (run) this.#runs.push({ line, run: this.#keyed(run, n) });
    if (schedule) {
      const id = scheduleId(schedule);
      if (this.#schedules.has(id)) await this.flush(); // a store takes each once in a write; the later one counts
      this.#schedules.set(id, { line, schedule });
    }
    this.#bytes += bytes;
    if (this.#runs.length >= mostRuns || this.#schedules.size >= mostSchedules || this.#bytes >= mostBytes)
      await this.flush();
  }

  /** The next item can't be added; its number stays its own. */
  skip(problems: readonly Problem[]): void {
    this.#n++;
    this.loaded.problems.push(...problems);
  }

  async flush(): Promise<void> {
    const [runs, schedules] = [this.#runs, [...this.#schedules.values()]];
    this.#runs = [];
    this.#schedules = new Map();
    this.#bytes = 0;
    if (runs.length > 0) this.#tell(runs, await this.#addRuns(runs.map(({ run }) => run)));
    if (schedules.length > 0)
      this.#tell(schedules, await this.#to.schedules.put(schedules.map(({ schedule }) => schedule)));
  }

  #keyed(run: NewRun, n: number): NewRun {
    if (run.key !== null || this.#hash === null) return run;
    const key = `${fileMark}${this.#hash.slice(0, 40)}:${n}`;
    return { ...run, key: { key, keepMs, always: true, onConflict: "return", hash: "" } };
  }

  async #addRuns(runs: readonly NewRun[]): Promise<readonly (Added | Error)[]> {
    const before = await this.#before(runs);
    const known = runs.map(({ job, key }) => before.get(`${job} ${key?.key}`));
    const left = runs.filter((_, i) => known[i] === undefined);
    const added = left.length > 0 ? await this.#to.add(left) : [];
    let next = 0;
    return known.map((id) => (id === undefined ? added[next++]! : { id, created: false, conflict: false }));
  }

  /** Runs that an earlier load has made of items with an id, whose keys are free again because they did not complete; by job and key. */
  async #before(runs: readonly NewRun[]): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>();
    const jobs = runs.flatMap(({ job, key }) => (key && !key.always ? [job] : []));
    if (this.#since === null || jobs.length === 0) return found;
    const filter = { job: [...new Set(jobs)], status: ["failed", "canceled"], createdAfter: this.#since } as const;
    for (let cursor: string | undefined; ;) {
      const { items, next } = await this.#to.find.list(filter, { limit: 200, cursor });
      for (const { id, job, key } of items) if (key !== null) found.set(`${job} ${key}`, id);
      if (next === null) return found;
      cursor = next;
    }
  }

  #tell(items: readonly { readonly line: number }[], answers: readonly (object | Error)[]): void {
    for (const [i, answer] of answers.entries()) {
      if (answer instanceof StoreUnavailable) throw answer;
      if (answer instanceof Error)
        this.loaded.problems.push({ line: items[i]!.line, path: "", message: answer.message });
      else if (!("created" in answer)) this.loaded.schedules++;
      else if (answer.created) this.loaded.runs++;
      else this.loaded.existed++;
    }
  }
}
