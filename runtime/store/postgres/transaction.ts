import { InvalidInput } from "../../../sdk/port/error.ts";
import type { Tx } from "../../../sdk/port/target.ts";
import { explain, type Queryable, type Row, rowsOn, stateOf, unavailable } from "./pool.ts";

/** Runs a statement on the pool, or in a caller's transaction. */
export type Send = (name: string, statement: string, values: readonly unknown[]) => Promise<readonly Row[]>;

/** A sender for a caller's transaction, which is recognised by its shape.
 *  @throws {InvalidInput} for anything else, and for a client without an open transaction */
export function sender(tx: Tx): Send {
  if ("isTransaction" in tx && "executeQuery" in tx) {
    if (tx.isTransaction !== true) throw new InvalidInput(`tx is a Kysely database without a transaction; ${pass}`);
    const client = tx as unknown as KyselyTransaction;
    return explained((_name, statement, values) => kyselyRows(client, statement, values));
  }
  if ("unsafe" in tx && typeof tx.unsafe === "function") {
    if (!("savepoint" in tx)) throw new InvalidInput(`tx is postgres.js without a transaction; ${pass}`);
    const client = tx as unknown as PostgresTransaction;
    return explained(async (_name, statement, values) => texts(await client.unsafe(statement, [...values]).values()));
  }
  if ("query" in tx && typeof tx.query === "function") {
    if ("totalCount" in tx) throw new InvalidInput(`tx is a pg pool, whose queries run on any connection; ${pass}`);
    const status = statusOf(tx);
    if (status === "I") throw new InvalidInput(`tx is a pg client without an open transaction; await its BEGIN first`);
    if (status === "E") throw new InvalidInput(failed);
    const client = tx as unknown as Queryable;
    return explained(async (_name, statement, values) => texts(await rowsOn(client, statement, values)));
  }
  const client = drizzleClient(tx);
  if (client) return sender(client);
  throw new InvalidInput(`tx is not a transaction of pg, Kysely, Drizzle or postgres.js; ${pass}`);
}
const pass = "pass the client that runs your BEGIN, or what the library hands to the function of its transaction";

/** The client of a Drizzle session: of pg, or a transaction of postgres.js. */
function drizzleClient(tx: object): Tx | null {
  const { client } = ((tx as { readonly _?: { readonly session?: object } })._?.session ?? {}) as {
    readonly client?: Tx;
  };
  if (!client) return null;
  if (!("rollback" in tx)) throw new InvalidInput(`tx is a Drizzle database without a transaction; ${pass}`);
  return client;
}
const failed =
  "the transaction of tx had already failed, so nothing can be added in it; roll it back and repeat all of it";

/** Explains an error in a caller's transaction, which only its owner can repeat. */
function explained(send: Send): Send {
  return async (...statement) => {
    try {
      return await send(...statement);
    } catch (error) {
      const { message } = error as Error;
      switch (stateOf(error)) {
        case "25P02":
          throw new InvalidInput(failed, { cause: error });
        case "40P01":
          throw unavailable(
            "another open transaction and this one wait for each other's idempotency keys, so this one was aborted: repeat it, and let all transactions claim keys in one order",
            error,
          );
        case "40001":
        case "55P03":
        case "57014":
          throw unavailable(`the transaction of tx was aborted: ${message}; roll it back and repeat all of it`, error);
        default:
          throw explain(error, "the transaction of tx");
      }
    }
  };
}

/** The transaction status of a pg client: `I` idle, `T` in a transaction, `E` failed; undefined if unknown. */
function statusOf(client: object): unknown {
  return (client as { getTransactionStatus?(): unknown }).getTransactionStatus?.(); // pg ≥ 8.17
}

interface KyselyTransaction {
  withoutPlugins(): { executeQuery(query: object): Promise<{ rows: readonly Record<string, unknown>[] }> };
}
interface PostgresTransaction {
  unsafe(statement: string, values: unknown[]): { values(): Promise<readonly (readonly unknown[])[]> };
}

/** Kysely returns objects, parsed by its driver. */
async function kyselyRows(
  tx: KyselyTransaction,
  statement: string,
  values: readonly unknown[],
): Promise<readonly Row[]> {
  const { CompiledQuery } = await import("kysely");
  const result = await tx.withoutPlugins().executeQuery(CompiledQuery.raw(statement, [...values]));
  return texts(result.rows.map((row) => Object.values(row)));
}

function texts(rows: readonly (readonly unknown[])[]): readonly Row[] {
  return rows.map((row) => row.map(asText));
}

function asText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return typeof value === "boolean" ? (value ? "t" : "f") : String(value);
}
