import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { runs } from "tasker";
import { Pool } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { server } from "../../examples/transaction/_server.ts";
import { welcome } from "../../examples/transaction/welcome.ts";
import { until } from "../kit/until.ts";
import { running, type Running } from "./kit.ts";

let own: Running;
let pool: Pool;
let http: Server;
beforeAll(async () => {
  own = await running([welcome]);
  pool = new Pool({ connectionString: own.url });
  await pool.query(
    `create table users (email text primary key); create table invitations (code text primary key, used boolean not null);
     insert into invitations values ('pg', false), ('kysely', false)`,
  );
  http = server(pool).listen(0, "127.0.0.1");
  await once(http, "listening");
});
afterAll(async () => {
  http.close();
  await pool.end();
  await own.stop();
});

async function signUp(path: string, email: string, invitation: string): Promise<number> {
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/${path}`;
  return (await fetch(url, { method: "POST", body: JSON.stringify({ email, invitation }) })).status;
}
const runsFor = async (email: string) => (await runs.list({ job: "welcome", payload: { email } })).items;
const isUser = async (email: string) =>
  (await pool.query("select from users where email = $1", [email])).rowCount === 1;

describe.each(["pg", "kysely"])("with %s", (path) => {
  test("a sign-up that commits makes one run", async () => {
    const email = `ada@${path}.example`;

    expect(await signUp(path, email, path)).toBe(201);

    expect(await isUser(email)).toBe(true);
    await until(async () => (await runsFor(email))[0]?.status === "completed", { what: "the welcome was sent" });
    expect(await runsFor(email)).toMatchObject([{ result: `welcome, ${email}` }]);
  });

  test("a sign-up that rolls back after its trigger makes none", async () => {
    const email = `eve@${path}.example`;

    expect(await signUp(path, email, "forged")).toBe(409);

    expect(await isUser(email)).toBe(false);
    expect(await runsFor(email)).toEqual([]);
  });
});
