/** Where a growth test works: a database, and schemas of its own in it. */
import pg from "pg";
import { postgres, type Guarded } from "../../runtime/index.ts";
import { startPostgres } from "../server.ts";

export interface Place {
  readonly url: string;
  /** For loading and looking; one connection. */
  readonly control: pg.Client;
  /** Makes the schema anew, with all tables, and opens a store on it. */
  make(schema: string): Promise<Guarded>;
  /** Closes the schema's store and drops it. */
  drop(schema: string): Promise<void>;
  /** Sits in a transaction with a snapshot, which holds vacuum back, until the answer is called. */
  hold(schema: string): Promise<() => Promise<void>>;
  setting(name: string): Promise<string>;
  close(): Promise<void>;
}

/** Connects to `url`, or to a server of its own with fsync on. */
export async function openPlace(url: string | undefined): Promise<Place> {
  const awake = setInterval(() => undefined, 1000); // a server that starts doesn't keep a process up
  const server = url === undefined ? await startPostgres() : null;
  const at = url ?? server!.url;
  const control = new pg.Client({ connectionString: at });
  await control.connect();
  await control.query("set client_min_messages = warning");
  const stores = new Map<string, Guarded>();
  const drop = async (schema: string): Promise<void> => {
    await stores.get(schema)?.close();
    stores.delete(schema);
    await control.query(`drop schema if exists ${schema} cascade`);
  };
  return {
    url: at,
    control,
    async make(schema) {
      await drop(schema);
      const store = postgres({ url: at, schema });
      await store.open();
      stores.set(schema, store);
      return store;
    },
    drop,
    async hold(schema) {
      const idler = new pg.Client({ connectionString: at, application_name: "idler" });
      await idler.connect();
      await idler.query("begin isolation level repeatable read");
      await idler.query(`select 1 from ${schema}.runs limit 1`); // the snapshot is taken here
      return async () => {
        await idler.query("commit");
        await idler.end();
      };
    },
    async setting(name) {
      const { rows } = await control.query<{ value: string }>("select current_setting($1) value", [name]);
      return rows[0]!.value;
    },
    async close() {
      for (const store of stores.values()) await store.close();
      await control.end();
      await server?.stop();
      clearInterval(awake);
    },
  };
}
