import { createServer, type IncomingMessage, type Server } from "node:http";
import { text } from "node:stream/consumers";
import { Kysely, PostgresDialect } from "kysely";
import type { Pool } from "pg";
import { z } from "zod";
import { welcome } from "./welcome.ts";

const SignUp = z.object({ email: z.email(), invitation: z.string() });
type SignUp = z.infer<typeof SignUp>;
class Refused extends Error {}

interface Tables {
  users: { email: string };
  invitations: { code: string; used: boolean };
}

/** Signs people up who have an invitation: `POST /pg` does it with pg, `POST /kysely` with Kysely. User, used invitation and the run that
 *  welcomes are one transaction. Whatever fails in it, the user is not there, and no run either. */
export function server(pool: Pool): Server {
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  const routes: Record<string, (signUp: SignUp) => Promise<void>> = {
    "POST /pg": (signUp) => withPg(pool, signUp),
    "POST /kysely": (signUp) => withKysely(db, signUp),
  };
  return createServer((request, response) => {
    void answer(request, routes).then((status) => response.writeHead(status).end());
  });
}

async function withPg(pool: Pool, { email, invitation }: SignUp): Promise<void> {
  const tx = await pool.connect();
  try {
    await tx.query("begin");
    await tx.query("insert into users (email) values ($1)", [email]);
    await welcome.trigger({ email }, { tx });
    const used = await tx.query("update invitations set used = true where code = $1 and not used", [invitation]);
    if (used.rowCount === 0) throw new Refused("the invitation is not valid");
    await tx.query("commit");
  } catch (error) {
    await tx.query("rollback");
    throw error;
  } finally {
    tx.release();
  }
}

async function withKysely(db: Kysely<Tables>, { email, invitation }: SignUp): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx.insertInto("users").values({ email }).execute();
    await welcome.trigger({ email }, { tx });
    const used = await tx
      .updateTable("invitations")
      .set({ used: true })
      .where("code", "=", invitation)
      .where("used", "=", false)
      .executeTakeFirst();
    if (used.numUpdatedRows === 0n) throw new Refused("the invitation is not valid");
  });
}

async function answer(
  request: IncomingMessage,
  routes: Record<string, (signUp: SignUp) => Promise<void>>,
): Promise<number> {
  const route = routes[`${request.method} ${request.url}`];
  if (!route) return 404;
  try {
    const signUp = SignUp.safeParse(JSON.parse(await text(request)));
    if (!signUp.success) return 400;
    await route(signUp.data);
    return 201;
  } catch (error) {
    if (error instanceof Refused) return 409;
    console.error(error);
    return 500;
  }
}
