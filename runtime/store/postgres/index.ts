import { setTimeout as pause } from "node:timers/promises";
import { InvalidInput, invalid } from "../../../sdk/port/error.ts";
import { checkFlag, checkKeys, checkWhole } from "../../../sdk/port/option.ts";
import { guard } from "../guard.ts";
import type { Guarded } from "../port.ts";
import { adder } from "./add.ts";
import { desk } from "./desk.ts";
import { feed, Watching } from "./feed.ts";
import { find } from "./find.ts";
import { flow } from "./flow.ts";
import { idBlocks } from "./id.ts";
import { Lanes } from "./lane.ts";
import { Listener } from "./listen.ts";
import { marks } from "./mark.ts";
import { isCurrent, migrate, schemaName } from "./migrate.ts";
import { nodes } from "./node.ts";
import { isAway, openPool, placeOf, type Pool } from "./pool.ts";
import { post } from "./post.ts";
import { growing } from "./retry.ts";
import { runs } from "./run.ts";
import { schedules } from "./schedule.ts";
import { sql } from "./sql.ts";
import { ticks } from "./tick.ts";

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database` */
  readonly url: string;
  /** The schema of the tables; `tasker` by default. */
  readonly schema?: string | undefined;
  /** Connections of the pool, 3 by default; one more listens. */
  readonly max?: number | undefined;
  /** Whether each connection has a session of its own, so that statements are prepared and one connection listens. False behind a pooler by
   *  transaction, such as PgBouncer. Detected by default; a pooler by session is then taken for one by transaction. */
  readonly prepare?: boolean | undefined;
  /** Whether `open` migrates the schema; true by default. */
  readonly migrate?: boolean | undefined;
  /** For tests: the table `skew` shifts the store's clock. */
  readonly skew?: boolean | undefined;
}

const optionKeys = new Set(["url", "schema", "max", "prepare", "migrate", "skew"]);

/** A store in PostgreSQL ≥ 13. Connects at `open`, or at the first call.
 *  @throws {InvalidInput} for an invalid URL or schema name */
export function postgres(options: PostgresOptions): Guarded {
  checkKeys("postgres", options, optionKeys);
  const schema = schemaName(options.schema ?? "tasker");
  if (typeof options.url !== "string")
    throw invalid("url", "postgres() was given no url; is the variable that it comes from set?");
  if (!/^postgres(ql)?:\/\//.test(options.url) || !URL.canParse(options.url))
    throw new InvalidInput(
      `database URL "${redact(options.url)}" is not one of Postgres; write it like "postgres://user:password@host:5432/database"`,
    );
  const { max = 3, prepare } = options;
  checkWhole("max", max, 1);
  if (prepare !== undefined) checkFlag("prepare", prepare);
  const name = `${placeOf(options.url)} schema ${schema}`;
  const pool = openPool({ url: options.url, max, prepare, name });
  const text = sql(schema, options.skew ?? false);
  const known = new Lanes(pool, text);
  const watching = new Watching();
  const mail = post(pool, text, watching);
  const heard = new Listener(options.url, text.channel, prepare === true, {
    mailed: mail.deliver,
    watched: (leftMs) => watching.hear(leftMs),
  });
  const ids = idBlocks(pool, text, watching);
  const add = adder(pool, text, known, ids);
  const versions = new Map<number, string>();
  const parts = { pool, sql: text, lanes: known, marks: marks(), versions, watching };
  let opening: Promise<void> | null = null;

  return guard({
    name,
    runs: { ...runs(parts, heard, mail), add },
    nodes: nodes(parts),
    find: find(pool.guest, text, heard),
    desk: desk(pool.guest, text, { lanes: known, post: mail, watching }),
    schedules: schedules(pool.guest, text, watching),
    ticks: ticks(pool, text, known),
    flow: flow(pool, text, { lanes: known, ids, watching }),
    feed: feed(pool, text, heard, watching),
    open(signal) {
      opening ??= untilThere(() => bringUp(pool, options, schema), signal).catch((error: unknown) => {
        opening = null;
        throw error;
      });
      return opening;
    },
    async close() {
      const awake = setInterval(() => undefined, 1000); // keeps the process up until the connections have closed
      try {
        await heard.close();
        await pool.close();
      } finally {
        clearInterval(awake);
      }
    },
  });
}

async function bringUp(pool: Pool, options: PostgresOptions, schema: string): Promise<void> {
  if (!(options.migrate ?? true) || (await isCurrent(pool, schema))) return;
  await migrate({ url: options.url, schema });
}

/** Repeats until the database is there, or `signal` aborts. Without a signal it fails at once. */
async function untilThere(call: () => Promise<void>, signal?: AbortSignal): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (!signal || signal.aborted || !isAway(error)) throw error;
      await pause(growing(tries, 100, 5000), undefined, { signal }).catch(() => undefined); // aborted: one last try
    }
  }
}

function redact(url: string): string {
  return url.replace(/\/\/[^@/]*@/, "//***@").slice(0, 200);
}
