/** What facts about the server, its settings and our rights mean. */
import { humanMs } from "../../sdk/port/duration.ts";
import type { Facts } from "../../runtime/store/admin.ts";
import type { Level } from "../view/finding.ts";
import { fine, type Finding } from "./finding.ts";

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
    found.push({
      level: "error",
      check: "server",
      found: "the server is a standby, on which nothing can be written",
      todo: "name the primary in the database URL",
    });
  const used = `${connections} of ${most} connections are in use`;
  const full: Finding = {
    level: "warning",
    check: "connections",
    found: used,
    todo: "raise max_connections, put a pooler before applications, or make their pools smaller; a tasker process takes 4",
  };
  found.push(connections >= most * 0.8 ? full : fine("connections", used));
  return found;
}

function versionOf(version: string, major: number, nowMs: number): Finding {
  const check = "server";
  const todo = "upgrade the server";
  if (major < 13)
    return {
      level: "error",
      check,
      found: `PostgreSQL ${version} is older than 13, the first that tasker runs on`,
      todo,
    };
  const end = ends[major];
  const leftMs = end === undefined ? Infinity : Date.parse(end) - nowMs;
  if (leftMs > nearMs) return fine(check, `PostgreSQL ${version}`);
  const when = leftMs < 0 ? `ended on ${end}` : `ends on ${end}`;
  return { level: "note", check, found: `PostgreSQL ${version}, whose support ${when}`, todo };
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
  const slow: Finding = {
    level: "warning",
    check: "latency",
    found: took,
    todo: "run tasker near its database: each claim, trigger and result is a round trip",
  };
  const off: Finding = {
    level: "warning",
    check: "clock",
    found: `this machine's clock is ${humanMs(Math.abs(offMs))} ${offMs > 0 ? "ahead of" : "behind"} the server's`,
    todo: "synchronize it (NTP): runs start by the server's clock and are not harmed, but logs do not line up",
  };
  const clock =
    Math.abs(offMs) >= 1000
      ? off
      : fine("clock", `within ${humanMs(Math.ceil(Math.abs(offMs) + tookMs / 2))} of the server's`);
  return [p50 >= 50 ? slow : fine("latency", took), clock];
}

/** Settings that cost durability or speed. */
export function settings(rows: readonly Facts["settings"][]): readonly Finding[] {
  const value = new Map(rows.map((row) => [row.name, row.value]));
  const found: Finding[] = [];
  const bad = (level: Level, setting: string, means: string, todo: string): void =>
    void found.push({ level, check: "settings", found: `${setting} is ${value.get(setting)}: ${means}`, todo });
  const set = (setting: string): string => `alter system set ${setting} = on; select pg_reload_conf()`;
  for (const setting of ["fsync", "full_page_writes"])
    if (value.get(setting) === "off")
      bad("warning", setting, "a crash of the machine can lose or spoil everything", set(setting));
  if (value.get("synchronous_commit") === "off")
    bad(
      "warning",
      "synchronous_commit",
      "a crash of the server loses what was triggered in its last moments",
      set("synchronous_commit"),
    );
  for (const setting of ["autovacuum", "track_counts"])
    if (value.get(setting) === "off")
      bad("warning", setting, "tables grow and get slow, for nothing removes dead rows", set(setting));
  if (value.get("default_transaction_read_only") === "on")
    bad(
      "error",
      "default_transaction_read_only",
      "nothing can be written",
      "alter role <this role> reset default_transaction_read_only",
    );
  const shortest = { statement_timeout: 30_000, idle_in_transaction_session_timeout: 60_000 };
  for (const [setting, least] of Object.entries(shortest)) {
    const ms = Number(value.get(setting) ?? 0);
    if (ms > 0 && ms < least)
      bad(
        "warning",
        setting,
        `${humanMs(ms)} may cut short what tasker does`,
        `alter role <this role> set ${setting} = '${humanMs(least)}'`,
      );
  }
  return found.length > 0
    ? found
    : [fine("settings", "fsync, synchronous_commit, autovacuum and time limits are as they should be")];
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
      : {
          level: "error",
          check,
          found: `there is no schema "${schema}", and role "${role}" may not make it`,
          todo: `let an owner run: create schema ${schema} authorization "${role}"`,
        };
  if (makesTables && foreign === 0) return fine(check, `role "${role}" owns the tables of schema "${schema}"`);
  const lacks = closed > 0 ? `may not read and write ${closed} of the tables` : `does not own all tables`;
  return {
    level: closed > 0 || !makesTables ? "error" : "warning",
    check,
    found: `role "${role}" ${lacks} of schema "${schema}", which "${owner}" owns; it can't migrate, nor make the partitions of coming days`,
    todo: `connect as "${owner}", or let an owner run: grant "${owner}" to "${role}"`,
  };
}

/** Migrations: names that the database has, and those of this version. */
export function migrations(done: readonly string[], known: readonly string[]): Finding {
  const check = "migrations";
  const missing = known.filter((name) => !done.includes(name));
  const newer = done.filter((name) => !known.includes(name));
  if (missing.length > 0)
    return {
      level: done.length === 0 ? "note" : "warning",
      check,
      found:
        done.length === 0
          ? "the schema is not there yet"
          : `the schema is older than this version; missing: ${missing.join(", ")}`,
      todo: "run: tasker migrate; or start a process, which does the same",
    };
  if (newer.length === 0) return fine(check, `the schema is up to date at ${known.at(-1)}`);
  return {
    level: "note",
    check,
    found: `the schema is newer than this version of tasker, which does not know: ${newer.join(", ")}`,
    todo: "upgrade tasker here; until then this version goes on with it",
  };
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
    return {
      level: "warning",
      check,
      found:
        "a pooler (PgBouncer, say) gives each transaction another session: LISTEN and prepared statements do not survive",
      todo: "name the server itself or a pool by session; else open the store with postgres({ prepare: false }), and runs are found by polling",
    };
  return fine(
    check,
    between ? "something stands between, but a session stays a session" : "connected to the server itself",
  );
}
