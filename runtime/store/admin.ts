/** What commands ask of a store beyond its port: the one file that names a store's own for them. Each part, and its driver, is loaded
 *  when it is asked for. */
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

/** Ends the leases of a node whose process is gone for certain, or with null those of all nodes; answers what it had under way. */
export async function expireNode(
  database: { readonly url: string; readonly schema: string },
  name: string | null,
): Promise<readonly Held[]> {
  return (await import("./postgres/expire.ts")).expireNode(database, name);
}

/** Starts the PostgreSQL server of a project, or joins the one that already runs there; see `EmbeddedOptions` and `Embedded`.
 *  @throws {StoreUnusable} no binaries, data of another major, or a server that does not start, with the end of its log */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  return (await import("./postgres/embedded.ts")).startEmbedded(options);
}

/** Joins the users of the embedded server that runs on this data folder; null if it is about to end, or another program started it. */
export async function joinEmbedded(data: string): Promise<Hold | null> {
  return (await import("./postgres/embedded/hold.ts")).joinHold(data);
}

/** The major of the PostgreSQL that an embedded server would be.
 *  @throws {StoreUnusable} if there is none, naming the ways out */
export async function embeddedMajor(): Promise<number> {
  return (await import("./postgres/embedded/binary.ts")).findBinary().major;
}
