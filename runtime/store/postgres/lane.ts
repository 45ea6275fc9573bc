import { type Pool, texts, numbers } from "./pool.ts";
import type { Statements } from "./sql.ts";

export interface Lane {
  readonly id: number;
  readonly queue: string;
  readonly job: string;
  readonly priority: number;
}
export type LaneName = Omit<Lane, "id">;

/** The table of lanes, (queue, job, priority) → number, as last read. */
export interface Lanes {
  /** Numbers of these lanes, in order; new ones are made, in a statement of their own. */
  ensure(names: readonly LaneName[]): Promise<readonly number[]>;
  /** Begins to read the lanes, if they never were. */
  warm(): void;
  get(id: number): Promise<Lane>;
  known(id: number): Lane | undefined;
  /** The number of a lane that has been read already. */
  numberOf(name: LaneName): number | undefined;
  /** Numbers of the lanes of these jobs and queues, highest priority first, equal ones by turns; without those in `except`. */
  pick(
    jobs: readonly string[],
    queues: { readonly only: readonly string[] } | { readonly not: readonly string[] },
    except?: ReadonlySet<number>,
  ): readonly number[];
  /** The revision of the settings at which the lanes were read; -1 before. */
  readonly rev: number;
  /** Numbers of the lanes of these jobs, as last read. */
  of(jobs: readonly string[]): readonly number[];
  /** Reads the lanes again if the settings stand at another revision than when they were read. True if so. */
  follow(rev: number): Promise<boolean>;
}

export function lanes(pool: Pool, sql: Statements): Lanes {
  let known = new Map<string, Lane>();
  let byId = new Map<number, Lane>();
  let seen = -1;
  let turn = 0;
  const keyOf = (lane: LaneName): string => `${lane.priority}\n${lane.queue}\n${lane.job}`;

  let first: Promise<void> | null = null;

  /** Reads for the first time, once for all who ask meanwhile. */
  function begin(): Promise<void> {
    return (first ??= read().finally(() => (first = null)));
  }

  async function read(): Promise<void> {
    const rows = await pool.rows("tasker_all_lanes", sql.allLanes, []);
    const list = rows.filter((row) => row[1] !== null).map(laneOf);
    known = new Map(list.map((lane) => [keyOf(lane), lane]));
    byId = new Map(list.map((lane) => [lane.id, lane]));
    seen = Number(rows[0]![0]);
  }

  async function ensure(names: readonly LaneName[]): Promise<readonly number[]> {
    const unknown = (): readonly LaneName[] => names.filter((name) => !known.has(keyOf(name)));
    if (seen < 0 && unknown().length > 0) await begin(); // a process that starts again makes none
    const missing = unknown();
    if (missing.length > 0) {
      const parts = [
        texts(missing.map((lane) => lane.queue)),
        texts(missing.map((lane) => lane.job)),
        numbers(missing.map((lane) => lane.priority)),
      ];
      await pool.rows("tasker_lanes", sql.lanes, parts);
      await read();
    }
    return names.map((name) => known.get(keyOf(name))!.id);
  }

  return {
    ensure,
    warm: () => void (seen < 0 && begin().catch(() => undefined)), // whoever needs them reads again
    known: (id) => byId.get(id),
    numberOf: (name) => known.get(keyOf(name))?.id,
    async get(id) {
      if (!byId.has(id)) await read();
      const lane = byId.get(id);
      if (!lane) throw new Error(`lane ${id} is not in the table of lanes`);
      return lane;
    },
    pick(jobs, queues, except) {
      const wanted = new Set(jobs);
      const named = new Set("only" in queues ? queues.only : queues.not);
      const only = "only" in queues;
      const list = [...known.values()].filter(
        ({ id, job, queue }) => !except?.has(id) && wanted.has(job) && named.has(queue) === only,
      );
      const first = list.length > 0 ? turn++ % list.length : 0;
      const turned = [...list.slice(first), ...list.slice(0, first)];
      return turned.sort((a, b) => b.priority - a.priority).map(({ id }) => id); // stable: equal priorities keep their turn
    },
    get rev() {
      return seen;
    },
    of(jobs) {
      const wanted = new Set(jobs);
      return [...byId.values()].filter(({ job }) => wanted.has(job)).map(({ id }) => id);
    },
    async follow(rev) {
      if (rev === seen) return false;
      await read();
      return true;
    },
  };
}

function laneOf(row: readonly (string | null)[]): Lane {
  return { id: Number(row[1]), queue: row[2]!, job: row[3]!, priority: Number(row[4]) };
}
