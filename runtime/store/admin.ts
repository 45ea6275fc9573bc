/** What commands ask of a store beyond its port. Each part, and its driver, is loaded when it is called. */
export type { Doctor } from "./postgres/doctor.ts";
export type { Embedded, EmbeddedOptions } from "./postgres/embedded.ts";
export type { Hold } from "./postgres/embedded/hold.ts";
export type { Held } from "./postgres/expire.ts";
export { mostCounted, type Facts } from "./postgres/fact.ts";

/** The function, loaded when it is called. */
function late<A extends readonly unknown[], T>(load: () => Promise<(...args: A) => T>) {
  return async (...args: A): Promise<Awaited<T>> => await (await load())(...args);
}

export const pending = late(async () => (await import("./postgres/migrate.ts")).pending);
export const migrate = late(async () => (await import("./postgres/migrate.ts")).migrate);
export const openDoctor = late(async () => (await import("./postgres/doctor.ts")).openDoctor);
export const expireNode = late(async () => (await import("./postgres/expire.ts")).expireNode);
export const startEmbedded = late(async () => (await import("./postgres/embedded.ts")).startEmbedded);
export const joinEmbedded = late(async () => (await import("./postgres/embedded/hold.ts")).joinHold);
export const embeddedMajor = async (): Promise<number> =>
  (await import("./postgres/embedded/binary.ts")).findBinary().major;
