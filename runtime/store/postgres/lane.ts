import { homeOf, pinOf } from "../../../sdk/port/pin.ts";
import type { Claim } from "../port.ts";
import { fields, type Pool } from "./pool.ts";
import * as table from "./sql/lane.ts";
import type { Statements } from "./sql.ts";

export interface Lane {
  readonly id: number;
  readonly queue: string;
  readonly job: string;
  readonly priority: number;
  /** The queue as its runs know it, and the version that they are pinned to. */
  readonly home: string;
  readonly version: string | null;
}
type LaneName = Pick<Lane, "queue" | "job" | "priority">;

/** The table of lanes, (queue, job, priority) → id, as last read. */
export class Lanes {
  #known = new Map<string, Lane>();
  #byId = new Map<number, Lane>();
  #rev = -1;
  #turn = 0;
  #first: Promise<void> | null = null;
  readonly #pool: Pool;
  readonly #sql: Statements;

  constructor(pool: Pool, sql: Statements) {
    this.#pool = pool;
    this.#sql = sql;
  }

  /** The revision at which lanes were read; -1 before. */
  get rev(): number {
    return this.#rev;
  }

  /** Ids of these lanes, in order; missing lanes are created. */
  async ensure(names: readonly LaneName[]): Promise<readonly number[]> {
    const unknown = (): readonly LaneName[] => names.filter((name) => !this.#known.has(keyOf(name)));
    if (this.#rev < 0 && unknown().length > 0) await this.#begin(); // after a restart all lanes exist
    const missing = unknown();
    if (missing.length > 0) {
      await this.#pool.rows("tasker_lanes", this.#sql.lanes, fields(missing, "queue", "job", "priority"));
      await this.#read();
    }
    return names.map((name) => this.#known.get(keyOf(name))!.id);
  }

  /** Starts to read the lanes, unless they were read. */
  warm(): void {
    if (this.#rev < 0) this.#begin().catch(() => undefined); // the next caller reads them again
  }

  known(id: number): Lane | undefined {
    return this.#byId.get(id);
  }

  /** The id of a lane that is known. */
  numberOf(name: LaneName): number | undefined {
    return this.#known.get(keyOf(name))?.id;
  }

  async get(id: number): Promise<Lane> {
    if (!this.#byId.has(id)) await this.#read();
    const lane = this.#byId.get(id);
    if (!lane) throw new Error(`lane ${id} is not in the table of lanes`);
    return lane;
  }

  /** Ids of the lanes of these jobs and queues that a version may take from, without those in `except`, by descending priority; equal ones take
   *  turns. */
  pick(
    { jobs, queues }: Pick<Claim, "jobs" | "queues">,
    own: string | undefined,
    except?: ReadonlySet<number>,
  ): readonly number[] {
    const wanted = new Set(jobs);
    const named = new Set("only" in queues ? queues.only : queues.not);
    const only = "only" in queues;
    const list = [...this.#known.values()].filter(
      ({ id, job, home, version }) =>
        !except?.has(id) && wanted.has(job) && named.has(home) === only && (version === null || version === own),
    );
    const first = list.length > 0 ? this.#turn++ % list.length : 0;
    const turned = [...list.slice(first), ...list.slice(0, first)];
    return turned.sort((a, b) => b.priority - a.priority).map(({ id }) => id); // stable: equal priorities keep their turn
  }

  /** Ids of the lanes of these jobs that a version may take from, as last read. */
  of(jobs: readonly string[], own: string | undefined): readonly number[] {
    const wanted = new Set(jobs);
    const mine = [...this.#byId.values()].filter(
      ({ job, version }) => wanted.has(job) && (version === null || version === own),
    );
    return mine.map(({ id }) => id);
  }

  /** Reads the lanes again if the revision has changed. Returns whether it did. */
  async follow(rev: number): Promise<boolean> {
    if (rev === this.#rev) return false;
    await this.#read();
    return true;
  }

  /** Reads once for all concurrent callers. */
  #begin(): Promise<void> {
    return (this.#first ??= this.#read().finally(() => (this.#first = null)));
  }

  async #read(): Promise<void> {
    const rows = await this.#pool.rows("tasker_all_lanes", this.#sql.allLanes, []);
    const list = table.lane
      .all(rows, table.read.width)
      .map((lane): Lane => ({ ...lane, home: homeOf(lane.queue), version: pinOf(lane.queue) }));
    this.#known = new Map(list.map((lane) => [keyOf(lane), lane]));
    this.#byId = new Map(list.map((lane) => [lane.id, lane]));
    this.#rev = table.read.read(rows[0]!).rev;
  }
}

function keyOf(lane: LaneName): string {
  return `${lane.priority}\n${lane.queue}\n${lane.job}`;
}
