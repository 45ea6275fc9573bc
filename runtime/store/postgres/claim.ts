/** Claims. They begin at the low-water mark of each lane, look only into the lanes that a notification named, and leave full scans of slow
 *  lanes to run beside them. */
import type { RunOptions } from "../../../sdk/port/target.ts";
import type { Claim, Claimed, Heard, Lease, Runs } from "../port.ts";
import type { Lane, Lanes } from "./lane.ts";
import type { Listener } from "./listen.ts";
import type { Marks } from "./mark.ts";
import { numbers, type Pool, type Row } from "./pool.ts";
import { scanner, type Scanner } from "./scan.ts";
import { claimed, taken } from "./sql/claim.ts";
import type { Statements } from "./sql.ts";

export interface Parts {
  readonly pool: Pool;
  readonly sql: Statements;
  readonly lanes: Lanes;
  readonly marks: Marks;
  /** Versions of the code of nodes that joined here. */
  readonly versions: Map<number, string>;
}

/** A listening node of this process. */
interface Told {
  readonly hear: (what: Heard, runs?: readonly number[]) => void;
  /** Lanes that its last claim emptied, without a notification since. */
  readonly quiet: Set<number>;
  /** It was notified of an unknown lane. */
  hasNew: boolean;
}

/** More than any run has. */
const everyCrash = 32_768;
/** In a slow lane without a mark, claims begin this long ago; ms. */
const recentMs = 2000;
const nothing: readonly string[] = [];
/** With more lanes, a claim first looks which have runs. */
const fewLanes = 32;

export function claims(parts: Parts, listener: Listener): Pick<Runs, "lease" | "listen"> {
  const { lanes, marks } = parts;
  const nodes = new Map<number, Told>();
  const scans = scanner(parts, (found) => {
    for (const told of nodes.values()) {
      notice(parts, told, found);
      told.hear("due");
    }
  });

  async function lease(claim: Claim): Promise<Claimed> {
    const told = nodes.get(claim.node);
    if (told?.hasNew) {
      told.hasNew = false;
      await lanes.follow(Number.NaN);
    }
    const own = parts.versions.get(claim.node);
    const list = lanes.pick(claim, own, claim.poll ? undefined : told?.quiet);
    if (!claim.poll && told && list.length === 0) return { leases: [], nowMs: Number.NaN };
    // A poll includes a full scan: by this claim, or beside it if that is slow.
    if (claim.poll && marks.isSlow(list)) scans.start(list);
    else if (claim.poll) marks.forget(list);
    for (const lane of list) told?.quiet.add(lane); // before the claim, so that notifications meanwhile count
    let isRest = true;
    try {
      const { rev, ...claimed } = await claimFrom(parts, scans, list, claim);
      const left = claim.limit - claimed.leases.length;
      isRest = left <= 0 || claim.aheadMs === 0;
      if (!(await lanes.follow(rev)) || left <= 0) return claimed;
      const more = await claimOnce(parts, lanes.pick(claim, own), { ...claim, limit: left });
      return { leases: [...claimed.leases, ...more.leases], nowMs: more.nowMs };
    } finally {
      if (isRest) for (const lane of list) told?.quiet.delete(lane);
    }
  }

  async function listen(node: number, hear: Told["hear"]): Promise<() => Promise<void>> {
    const told: Told = { hear, quiet: new Set(), hasNew: false };
    nodes.set(node, told);
    const stop = await listener.listen(node, (what, named) => {
      if (what !== "due") return hear(what, named);
      notice(parts, told, named);
      hear(what);
    });
    return async () => {
      if (nodes.get(node) === told) nodes.delete(node);
      await stop();
    };
  }

  return { lease, listen };
}

/** Runs may be due in these lanes; anywhere, also below the marks, for undefined. */
function notice({ lanes, marks }: Parts, told: Told, named: readonly number[] | undefined): void {
  if (!named) {
    told.quiet.clear();
    marks.forgetQuick();
    return;
  }
  for (const lane of named) {
    told.quiet.delete(lane);
    told.hasNew ||= lanes.known(lane) === undefined;
  }
}

type Once = Claimed & { readonly rev: number };

/** Claims what scans have found, then from the marks. */
async function claimFrom(parts: Parts, scans: Scanner, list: readonly number[], claim: Claim): Promise<Once> {
  const ids = scans.take(list, claim.limit);
  if (ids.length === 0) return claimOnce(parts, list, claim);
  const found = await claimFound(parts, ids, list, claim);
  const left = claim.limit - found.leases.length;
  if (left <= 0) return found;
  const rest = await claimOnce(parts, list, { ...claim, limit: left });
  return { ...rest, leases: [...found.leases, ...rest.leases] };
}

async function claimFound(parts: Parts, ids: readonly number[], list: readonly number[], claim: Claim): Promise<Once> {
  const { pool, sql, marks } = parts;
  const rows = await pool.rows("tasker_lease_found", sql.leaseFound, [numbers(ids), numbers(list), ...rest(claim)]);
  const { lateMs, leases, nowMs, rev } = await read(parts, rows);
  marks.saw({ lanes: [], lastMs: new Map(), lateMs, exhausted: false, nowMs, tookMs: 0 });
  return { leases, nowMs, rev };
}

async function claimOnce(parts: Parts, list: readonly number[], claim: Claim): Promise<Once> {
  const { pool, marks } = parts;
  const isSlow = marks.isSlow(list);
  const isFull = !isSlow && list.some((lane) => marks.of(lane) === 0);
  const low = list.map((lane) => marks.of(lane) || (isSlow ? -recentMs : 0));
  const sentAt = performance.now();
  if (isFull) marks.begin();
  const [name, statement] = statementOf(parts, list, claim);
  const rows = await pool
    .rows(name, statement, [numbers(list), numbers(low), ...rest(claim)])
    .catch((error: unknown) => {
      marks.forget(list); // the walk may have been too far
      if (isFull) marks.end(list, performance.now() - sentAt, 0, false);
      throw error;
    });
  const { lateMs, lastMs, leases, nowMs, rev, tookMs } = await read(parts, rows);
  const exhausted = leases.length < claim.limit;
  if (isFull) marks.end(list, tookMs, leases.length, exhausted);
  // Without a mark the claim skipped older runs, and a mark that was lowered meanwhile has runs above it that the claim did not see.
  const seen = list.filter((lane, i) => low[i]! >= 0 && marks.of(lane) >= low[i]!);
  marks.saw({ lanes: seen, lastMs, lateMs, exhausted, nowMs, tookMs: performance.now() - sentAt });
  return { leases, nowMs, rev };
}

function statementOf({ sql }: Parts, list: readonly number[], { order }: Claim): readonly [string, string] {
  if (order === "oldest") return ["tasker_lease_oldest", sql.leaseOldest];
  return list.length > fewLanes ? ["tasker_lease_many", sql.leaseMany] : ["tasker_lease", sql.lease];
}

/** Parameters from $3 on. */
function rest({ node, ttlMs, limit, aheadMs, crashesBelow, known }: Claim): readonly (number | string | null)[] {
  return [node, ttlMs, limit, aheadMs, crashesBelow ?? everyCrash, known ? numbers(known) : null];
}

/** `lateMs` and `lastMs` as in `Seen`. */
async function read({ lanes, marks }: Parts, rows: readonly Row[]) {
  const head = claimed.read(rows[0]!);
  const found = rows.filter((row) => row[at.id] !== null);
  for (const lane of new Set(found.map(laneOf))) if (!lanes.known(lane)) await lanes.get(lane);
  const lastMs = new Map<number, number>();
  let lateMs = 0;
  const leases = found.map((row) => {
    const lane = lanes.known(laneOf(row))!;
    const lease = leaseOf(row, lane);
    const readyMs = Number(row[at.readyMs]);
    lastMs.set(lane.id, Math.max(lastMs.get(lane.id) ?? 0, readyMs));
    if (lease.token === 1 && marks.isBelow(lane.id, readyMs)) lateMs = Math.max(lateMs, head.nowMs - readyMs);
    return lease;
  });
  return { ...head, leases, lastMs, lateMs };
}

const at = taken.at(claimed.width);
const laneOf = (row: Row): number => Number(row[at.lane]);

/** Reads as `taken` does, by a literal: 0.2 us a run instead of 0.5. */
function leaseOf(row: Row, lane: Lane): Lease {
  return {
    id: Number(row[at.id]),
    token: Number(row[at.token]),
    job: lane.job,
    queue: lane.home,
    priority: lane.priority,
    dueMs: Number(row[at.dueMs]),
    createdMs: Number(row[at.createdMs]),
    expiresMs: row[at.expiresMs] === null ? null : Number(row[at.expiresMs]),
    attempt: Number(row[at.attempt]),
    spent: Number(row[at.spent]),
    crashes: Number(row[at.crashes]),
    canceling: row[at.canceling] === "t",
    input: { json: row[at.input]!, meta: row[at.input + 1]! },
    tags: row[at.tags] ? (JSON.parse(row[at.tags]!) as string[]) : nothing,
    key: row[at.key]!,
    options: row[at.options] ? (JSON.parse(row[at.options]!) as RunOptions) : null,
  };
}
