import { InvalidInput } from "../../sdk/port/error.ts";
import type { Guarded } from "./port.ts";

export { targetOf } from "./guard.ts";

export interface OpenOptions {
  /** Schema of tasker's tables in Postgres; `tasker` by default. */
  readonly schema?: string | undefined;
  /** As `PostgresOptions` has it; found out by default. */
  readonly prepare?: boolean | undefined;
}

/** Makes the store that a URL names: `postgres://…`, `postgresql://…` or `memory:`. Its driver is loaded only now; nothing is
 *  connected before `store.open()`.
 *  @throws {InvalidInput} for any other URL */
export async function openStore(url: string, { schema, prepare }: OpenOptions = {}): Promise<Guarded> {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme === "memory") return (await import("./memory/index.ts")).memory();
  if (scheme === "postgres" || scheme === "postgresql") {
    const { postgres } = await import("./postgres/index.ts");
    return postgres({ url, schema, prepare });
  }
  const given = scheme === undefined ? "has no scheme" : `begins with "${scheme}:"`;
  throw new InvalidInput(`the store's URL ${given}; write "postgres://user@host:5432/database" or "memory:"`, {
    path: "url",
  });
}
