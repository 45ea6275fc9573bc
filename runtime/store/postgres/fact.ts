/** Counts are capped. */
export const mostCounted = 10_000;

/** Questions about a database, with the rows of their answers. Spans are ms. */
export type Facts = { readonly [Q in keyof Rows]: Readonly<Rows[Q]> };

interface Rows {
  /** `number` as in 180004. */
  server: { version: string; number: number; standby: boolean; role: string; connections: number; most: number };
  /** The defaults of this role and database, not the settings of the session. */
  settings: { name: string; value: string };
  /** `foreign`: tables of another owner. `closed`: tables that this role may not read and write. */
  rights: {
    there: boolean;
    makesSchemas: boolean;
    makesTables: boolean;
    owner: string | null;
    foreign: number;
    closed: number;
  };
  migrations: { name: string };
  tables: { name: string; live: number; dead: number; vacuumedMs: number | null; bytes: number; unvacuumed: boolean };
  /** Long transactions of other sessions. `holds`: vacuum can't remove rows that are dead since. */
  transactions: {
    pid: number;
    role: string | null;
    app: string | null;
    state: string | null;
    openMs: number;
    queryMs: number | null;
    xmin: number | null;
    holds: boolean;
    query: string | null;
  };
  /** Sessions that this role may not see. */
  hidden: { count: number };
  prepared: { gid: string; owner: string; ageMs: number };
  slots: { name: string; xmin: number | null; bytes: number | null };
  /** `asleep`: it does not beat until it is notified, or a run falls due. */
  nodes: { name: string; alive: boolean; draining: boolean; asleep: boolean; seenMs: number; jobs: readonly string[] };
  /** Runs that dead nodes hold. */
  held: { node: string; runs: number };
  /** Runs whose own lease lapsed long ago; no row if there are none. */
  lapsed: { count: number; oldestMs: number };
  /** Due runs by lane, those of hooks included. `served`: a live node has the job. */
  due: { queue: string; job: string; count: number; oldestMs: number; paused: boolean; served: boolean };
  /** Schedules that no live node serves, or that are overdue by a minute. */
  schedules: { job: string; key: string; declared: boolean; overdueMs: number; served: boolean };
  /** By kind of history: whether tomorrow's partition exists, and how many rows are in the default one. */
  partitions: { kind: string; tomorrow: boolean; strays: number };
}
