import { Client } from "pg";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { aNode } from "./build.ts";
import { freshDatabase } from "./database.ts";

/** An open store on a database of its own, a node that lives in it for ten minutes, and a connection beside it. `close` is for `beforeAll` to return. */
export async function ownStore() {
  const { url, drop } = await freshDatabase();
  const store = postgres({ url });
  await store.open();
  const client = new Client(url);
  await client.connect();
  const close = async (): Promise<void> => {
    await client.end();
    await store.close();
    await drop();
  };
  return { url, store, client, close, node: await store.nodes.join(aNode(), 600_000) };
}
