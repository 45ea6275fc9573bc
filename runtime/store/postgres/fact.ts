/** Counts stop here. */
export const mostCounted = 10_000;

/** What can be asked of a database, with the rows that come back. Spans are ms. */
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
  /** Settings as this role and database have them, whatever this session set. */
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
  /** Transactions of others in this database that have been open for long. `holds`: vacuum can't remove what died since. */
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
  /** Sessions of which this role may see nothing. */
  readonly hidden: { readonly count: number };
  readonly prepared: { readonly gid: string; readonly owner: string; readonly ageMs: number };
  readonly slots: { readonly name: string; readonly xmin: number | null; readonly bytes: number | null };
  readonly nodes: {
    readonly name: string;
    readonly alive: boolean;
    readonly draining: boolean;
    /** It does not beat until something falls due, or it is told of a run. */
    readonly asleep: boolean;
    readonly seenMs: number;
    readonly jobs: readonly string[];
  };
  /** Runs that are held by nodes whose lease ended some time ago. */
  readonly held: { readonly node: string; readonly runs: number };
  /** Runs whose own lease lapsed long ago; none: no row. */
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
  /** By kind of history: whether tomorrow has its partition, and how many rows are in the default one. */
  readonly partitions: { readonly kind: string; readonly tomorrow: boolean; readonly strays: number };
}
