import { StoreUnavailable } from "../../sdk/port/error.ts";
import { openDoctor, pending, type Doctor } from "../../runtime/store/admin.ts";
import type { Database } from "../database.ts";
import { due, leases, nodes, partitions, schedules } from "./engine.ts";
import { migrations, pooling, rights, server, settings, trips } from "./server.ts";
import { hidden, leftovers, tables, transactions } from "./vacuum.ts";
import { saidOf } from "../../sdk/port/text.ts";
import { fault, type Finding, warning } from "./finding.ts";

export interface Bounds {
  /** From when on an open transaction is told. */
  readonly longMs: number;
  /** This machine's clock, epoch ms. */
  readonly now: () => number;
}

/** Looks at a database and at tasker in it. Changes nothing, and never throws: what can't be checked is a finding, too. */
export async function database(chosen: Database, { longMs, now }: Bounds): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  let doctor: Doctor;
  try {
    doctor = await openDoctor({ ...chosen, longMs });
  } catch (error) {
    return [unreachable(error)];
  }
  const look = async (check: string, act: () => Promise<Finding | readonly Finding[]>): Promise<void> => {
    found.push(...[await act().catch((error: unknown) => unchecked(check, error))].flat());
  };
  try {
    await look("latency", async () => trips(await timed(doctor, now)));
    await look("server", async () => server((await doctor.ask("server"))[0]!, now()));
    await look("pooling", async () => pooling(await doctor.pooled()));
    await look("settings", async () => settings(await doctor.ask("settings")));
    await look("transactions", async () => transactions(await doctor.ask("transactions"), longMs));
    await look("transactions", async () => hidden((await doctor.ask("hidden"))[0]!));
    await look("replication", async () => leftovers(await doctor.ask("prepared"), await doctor.ask("slots")));
    await inside(doctor, chosen, look);
    return found;
  } finally {
    await doctor.close().catch(() => undefined);
  }
}

type Look = (check: string, act: () => Promise<Finding | readonly Finding[]>) => Promise<void>;

/** What concerns the schema; of one that is not there, nothing more than that. */
async function inside(doctor: Doctor, { url, schema }: Database, look: Look): Promise<void> {
  let isEmpty = false;
  await look("rights", async () => {
    const facts = (await doctor.ask("rights"))[0]!;
    isEmpty = !facts.there;
    return rights(facts, (await doctor.ask("server"))[0]!.role, schema);
  });
  await look("migrations", async () => {
    const missing = await pending({ url, schema });
    isEmpty = missing.length === doctor.migrations.length;
    return migrations(isEmpty ? [] : (await doctor.ask("migrations")).map(({ name }) => name), doctor.migrations);
  });
  if (isEmpty) return;
  await look("tables", async () => tables(await doctor.ask("tables"), schema));
  await look("nodes", async () => nodes(await doctor.ask("nodes")));
  await look("leases", async () => leases(await doctor.ask("held"), await doctor.ask("lapsed")));
  await look("runs", async () => due(await doctor.ask("due")));
  await look("schedules", async () => schedules(await doctor.ask("schedules")));
  await look("history", async () => partitions(await doctor.ask("partitions"), schema));
}

async function timed(doctor: Doctor, now: () => number): Promise<Parameters<typeof trips>[0]> {
  const list = [];
  for (let n = 0; n < 5; n++) list.push({ ...(await doctor.trip()), localMs: now() });
  return list;
}

function unreachable(error: unknown): Finding {
  const todo =
    error instanceof StoreUnavailable
      ? "start it, or correct host and port in the database URL"
      : "correct the database URL or the server's settings";
  return fault("database", saidOf(error), todo);
}

function unchecked(check: string, error: unknown): Finding {
  return warning(check, `could not be checked: ${saidOf(error)}`, null);
}
