/** Counts are capped. */
export const mostCounted = 10_000;

/** Questions about a database, with the rows of their answers. Spans are ms. */
export interface Facts {
  readonly server: {
    readonly version: string;
    /** As in 180004. */
    readonly number: number;
    readonly standby: boolean;
    readonly role: string;
    readonly connections: number;
    readonly most: number;
  };
  /** The defaults of this role and database, not the settings of the session. */
  readonly settings: { readonly name: string; readonly value: string };
  readonly rights: {
    readonly there: boolean;
    readonly makesSchemas: boolean;
    readonly makesTables: boolean;
    readonly owner: string | null;
    /** Tables of the schema that another role owns, and those that this one may not read and write. */
    readonly foreign: number;
    readonly closed: number;
  };
  readonly migrations: { readonly name: string };
  readonly tables: {
    readonly name: string;
    readonly live: number;
    readonly dead: number;
    readonly vacuumedMs: number | null;
    readonly bytes: number;
    readonly unvacuumed: boolean;
  };
  /** Long transactions of other sessions. `holds`: vacuum can't remove rows that are dead since. */
  readonly transactions: {
    readonly pid: number;
    readonly role: string | null;
    readonly app: string | null;
    readonly state: string | null;
    readonly openMs: number;
    readonly queryMs: number | null;
    readonly xmin: number | null;
    readonly holds: boolean;
    readonly query: string | null;
  };
  /** Sessions that this role may not see. */
  readonly hidden: { readonly count: number };
  readonly prepared: { readonly gid: string; readonly owner: string; readonly ageMs: number };
  readonly slots: { readonly name: string; readonly xmin: number | null; readonly bytes: number | null };
  readonly nodes: {
    readonly name: string;
    readonly alive: boolean;
    readonly draining: boolean;
    /** It does not beat until it is notified, or a run falls due. */
    readonly asleep: boolean;
    readonly seenMs: number;
    readonly jobs: readonly string[];
  };
  /** Runs that dead nodes hold. */
  readonly held: { readonly node: string; readonly runs: number };
  /** Runs whose own lease lapsed long ago; no row if there are none. */
  readonly lapsed: { readonly count: number; readonly oldestMs: number };
  /** Due runs by lane, those of hooks included. `served`: a live node has the job. */
  readonly due: {
    readonly queue: string;
    readonly job: string;
    readonly count: number;
    readonly oldestMs: number;
    readonly paused: boolean;
    readonly served: boolean;
  };
  /** Schedules that no live node serves, or that are overdue by a minute. */
  readonly schedules: {
    readonly job: string;
    readonly key: string;
    readonly declared: boolean;
    readonly overdueMs: number;
    readonly served: boolean;
  };
  /** By kind of history: whether tomorrow's partition exists, and how many rows are in the default one. */
  readonly partitions: { readonly kind: string; readonly tomorrow: boolean; readonly strays: number };
}
