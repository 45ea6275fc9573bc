/** What commands ask of a store beyond its port. Each part, and its driver, is loaded when it is called. */
import type { Doctor, DoctorOptions } from "./postgres/doctor.ts";
import type { Embedded, EmbeddedOptions } from "./postgres/embedded.ts";
import type { Hold } from "./postgres/embedded/hold.ts";
import type { Held } from "./postgres/expire.ts";
import type { Migrated, MigrateOptions } from "./postgres/migrate.ts";

export { mostCounted, type Facts } from "./postgres/fact.ts";
export type { Doctor, Embedded, EmbeddedOptions, Held, Hold };

/** Numbers of the migrations that this version has and the database lacks. Changes nothing. */
export async function pending(options: MigrateOptions): Promise<readonly string[]> {
  return (await import("./postgres/migrate.ts")).pending(options);
}

/** Brings a schema up to date; any number of processes may do so at once.
 *  @throws {StoreUnusable} if the role lacks the rights */
export async function migrate(options: MigrateOptions): Promise<Migrated> {
  return (await import("./postgres/migrate.ts")).migrate(options);
}

/** Connects to look at a database.
 *  @throws {InvalidInput} {StoreUnavailable} {StoreUnusable} */
export async function openDoctor(options: DoctorOptions): Promise<Doctor> {
  return (await import("./postgres/doctor.ts")).openDoctor(options);
}

/** Expires the leases of a node whose process is gone, or of all nodes for null. Answers the runs that it held. */
export async function expireNode(
  database: { readonly url: string; readonly schema: string },
  name: string | null,
): Promise<readonly Held[]> {
  return (await import("./postgres/expire.ts")).expireNode(database, name);
}

/** Starts the PostgreSQL server of a project, or joins the one that already runs there.
 *  @throws {StoreUnusable} no binaries, data of another major, or a server that does not start, with the end of its log */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  return (await import("./postgres/embedded.ts")).startEmbedded(options);
}

/** Joins the users of the embedded server on this data folder. Null: it is about to end, or another program started it. */
export async function joinEmbedded(data: string): Promise<Hold | null> {
  return (await import("./postgres/embedded/hold.ts")).joinHold(data);
}

/** The major version of the PostgreSQL that an embedded server would run.
 *  @throws {StoreUnusable} if no PostgreSQL is installed */
export async function embeddedMajor(): Promise<number> {
  return (await import("./postgres/embedded/binary.ts")).findBinary().major;
}
