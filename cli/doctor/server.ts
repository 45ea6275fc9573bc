/** What facts about the server, its settings and our rights mean. */
import { humanMs } from "../../sdk/port/duration.ts";
import type { Facts } from "../../runtime/store/admin.ts";
import { fine, type Finding, warning, note, fault } from "./finding.ts";

/** When each major gets no more fixes. Source: postgresql.org/support/versioning. */
const ends: Readonly<Record<number, string>> = {
  13: "2025-11-13",
  14: "2026-11-12",
  15: "2027-11-11",
  16: "2028-11-09",
  17: "2029-11-08",
  18: "2030-11-14",
};
const nearMs = 180 * 86_400_000;

/** Version, end of life, standby and connections. `nowMs`: epoch. */
export function server(facts: Facts["server"], nowMs: number): readonly Finding[] {
  const { version, number, standby, connections, most } = facts;
  const found: Finding[] = [versionOf(version, Math.trunc(number / 10_000), nowMs)];
  if (standby)
    found.push(
      fault(
        "server",
        "the server is a standby, on which nothing can be written",
        "name the primary in the database URL",
      ),
    );
  const used = `${connections} of ${most} connections are in use`;
  const full: Finding = warning(
    "connections",
    used,
    "raise max_connections, put a pooler before applications, or make their pools smaller; a tasker process takes 4",
  );
  found.push(connections >= most * 0.8 ? full : fine("connections", used));
  return found;
}

function versionOf(version: string, major: number, nowMs: number): Finding {
  const check = "server";
  const todo = "upgrade the server";
  if (major < 13) return fault(check, `PostgreSQL ${version} is older than 13, the first that tasker runs on`, todo);
  const end = ends[major];
  const leftMs = end === undefined ? Infinity : Date.parse(end) - nowMs;
  if (leftMs > nearMs) return fine(check, `PostgreSQL ${version}`);
  const when = leftMs < 0 ? `ended on ${end}` : `ends on ${end}`;
  return note(check, `PostgreSQL ${version}, whose support ${when}`, todo);
}

/** Round trips, and how far this machine's clock is from the server's. */
export function trips(
  list: readonly { readonly tookMs: number; readonly serverMs: number; readonly localMs: number }[],
): readonly Finding[] {
  const sorted = list.toSorted((a, b) => a.tookMs - b.tookMs);
  const p50 = sorted[Math.floor(sorted.length / 2)]!.tookMs;
  const { tookMs, serverMs, localMs } = sorted[0]!;
  const offMs = localMs - tookMs / 2 - serverMs;
  const took = `a round trip takes ${p50.toFixed(1)}ms (p50 of ${list.length})`;
  const slow: Finding = warning(
    "latency",
    took,
    "run tasker near its database: each claim, trigger and result is a round trip",
  );
  const off: Finding = warning(
    "clock",
    `this machine's clock is ${humanMs(Math.abs(offMs))} ${offMs > 0 ? "ahead of" : "behind"} the server's`,
    "synchronize it (NTP): runs start by the server's clock and are not harmed, but logs do not line up",
  );
  const clock =
    Math.abs(offMs) >= 1000
      ? off
      : fine("clock", `within ${humanMs(Math.ceil(Math.abs(offMs) + tookMs / 2))} of the server's`);
  return [p50 >= 50 ? slow : fine("latency", took), clock];
}

const set = (setting: string): string => `alter system set ${setting} = on; select pg_reload_conf()`;

/** Settings that cost durability or speed where they are off. */
const costly: readonly (readonly [setting: string, means: string])[] = [
  ["fsync", "a crash of the machine can lose or spoil everything"],
  ["full_page_writes", "a crash of the machine can lose or spoil everything"],
  ["synchronous_commit", "a crash of the server loses what was triggered in its last moments"],
  ["autovacuum", "tables grow and get slow, for nothing removes dead rows"],
  ["track_counts", "tables grow and get slow, for nothing removes dead rows"],
];
const shortest = { statement_timeout: 30_000, idle_in_transaction_session_timeout: 60_000 };

/** Settings that cost durability or speed, and limits that cut short what we do. */
export function settings(rows: readonly Facts["settings"][]): readonly Finding[] {
  const value = new Map(rows.map((row) => [row.name, row.value]));
  const said = (setting: string, means: string): string => `${setting} is ${value.get(setting)}: ${means}`;
  const found = costly
    .filter(([setting]) => value.get(setting) === "off")
    .map(([setting, means]) => warning("settings", said(setting, means), set(setting)));
  const readOnly = "default_transaction_read_only";
  if (value.get(readOnly) === "on")
    found.push(fault("settings", said(readOnly, "nothing can be written"), `alter role <this role> reset ${readOnly}`));
  for (const [setting, least] of Object.entries(shortest)) {
    const ms = Number(value.get(setting) ?? 0);
    if (ms === 0 || ms >= least) continue;
    const todo = `alter role <this role> set ${setting} = '${humanMs(least)}'`;
    found.push(warning("settings", said(setting, `${humanMs(ms)} may cut short what tasker does`), todo));
  }
  if (found.length > 0) return found;
  return [fine("settings", "fsync, synchronous_commit, autovacuum and time limits are as they should be")];
}

/** Rights of the role in the schema. */
export function rights(
  { there, makesSchemas, makesTables, owner, foreign, closed }: Facts["rights"],
  role: string,
  schema: string,
): Finding {
  const check = "rights";
  if (!there)
    return makesSchemas
      ? fine(check, `role "${role}" may make schema "${schema}"`)
      : fault(
          check,
          `there is no schema "${schema}", and role "${role}" may not make it`,
          `let an owner run: create schema ${schema} authorization "${role}"`,
        );
  if (makesTables && foreign === 0) return fine(check, `role "${role}" owns the tables of schema "${schema}"`);
  const lacks = closed > 0 ? `may not read and write ${closed} of the tables` : `does not own all tables`;
  return (closed > 0 || !makesTables ? fault : warning)(
    check,
    `role "${role}" ${lacks} of schema "${schema}", which "${owner}" owns; it can't migrate, nor make the partitions of coming days`,
    `connect as "${owner}", or let an owner run: grant "${owner}" to "${role}"`,
  );
}

/** Migrations: names that the database has, and those of this version. */
export function migrations(done: readonly string[], known: readonly string[]): Finding {
  const check = "migrations";
  const missing = known.filter((name) => !done.includes(name));
  const newer = done.filter((name) => !known.includes(name));
  if (missing.length > 0) {
    const todo = "run: tasker migrate; or start a process, which does the same";
    if (done.length === 0) return note(check, "the schema is not there yet", todo);
    return warning(check, `the schema is older than this version; missing: ${missing.join(", ")}`, todo);
  }
  if (newer.length === 0) return fine(check, `the schema is up to date at ${known.at(-1)}`);
  return note(
    check,
    `the schema is newer than this version of tasker, which does not know: ${newer.join(", ")}`,
    "upgrade tasker here; until then this version goes on with it",
  );
}

/** What stands between this process and the server. */
export function pooling({
  byTransaction,
  between,
}: {
  readonly byTransaction: boolean;
  readonly between: boolean;
}): Finding {
  const check = "pooling";
  if (byTransaction)
    return warning(
      check,
      "a pooler (PgBouncer, say) gives each transaction another session: LISTEN and prepared statements do not survive",
      "name the server itself or a pool by session; else open the store with postgres({ prepare: false }), and runs are found by polling",
    );
  return fine(
    check,
    between ? "something stands between, but a session stays a session" : "connected to the server itself",
  );
}
