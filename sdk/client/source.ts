/** Where `trigger` goes when no runtime is around it and nothing is configured. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { InvalidInput } from "../port/error.ts";
import { checkFlag } from "../port/option.ts";
import { saidOf } from "../port/text.ts";
import type { Bare, Target } from "../port/target.ts";

/** A store, or what opens one. */
export type Source =
  | { readonly kind: "store"; readonly store: Openable }
  | {
      readonly kind: "url";
      readonly url: string;
      readonly schema?: string | undefined;
      readonly prepare?: boolean | undefined;
      /** For a server of the HTTP API. */
      readonly token?: string | undefined;
    };

/** A target that may have to be opened first, or a store as it is written. */
export type Openable = Bare | (Target & { readonly name?: string; open?(signal?: AbortSignal): Promise<void> });

/** What the search looks at; the process's own by default. */
export interface Surroundings {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
}

/** The database that the environment names, and the variable that does: `TASKER_DATABASE_URL`, else `TASKER_DATABASE_URL_FILE`, whose file has
 *  the address, as mounted secrets are. Null: neither is set.
 *  @throws {InvalidInput} for a file that can't be read, or is empty */
export function databaseIn(env: NonNullable<Surroundings["env"]>): { text: string; source: string } | null {
  const { TASKER_DATABASE_URL: url, TASKER_DATABASE_URL_FILE: file } = env;
  if (url) return { text: url, source: "TASKER_DATABASE_URL" };
  if (!file) return null;
  const source = "TASKER_DATABASE_URL_FILE";
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch (cause) {
    throw new InvalidInput(
      `${source}: "${file}" can't be read: ${saidOf(cause)}; name a file that this user may read`,
      {
        cause,
      },
    );
  }
  if (text) return { text, source };
  throw new InvalidInput(`${source}: "${file}" is empty; write the address of a Postgres into it`);
}

/** The store that the environment names, else the server of `TASKER_URL`, else the store of the running `tasker dev` of this folder or one above it; null if
 *  there is neither. Dev is never used under NODE_ENV=production or CI.
 *  @throws {InvalidInput} if the address is in a file that can't be read. */
export function locate({ env = process.env, cwd = process.cwd() }: Surroundings = {}): Source | null {
  const url = databaseIn(env)?.text;
  if (url) return { kind: "url", url, schema: env["TASKER_SCHEMA"] || undefined, prepare: prepareOf(env) };
  const server = env["TASKER_URL"];
  if (server) return { kind: "url", url: server, token: env["TASKER_TOKEN"] || undefined };
  const ci = env["CI"];
  return env["NODE_ENV"] === "production" || (ci && ci !== "false" && ci !== "0") ? null : dev(cwd);
}

function prepareOf({ TASKER_PREPARE: text }: NonNullable<Surroundings["env"]>): boolean | undefined {
  if (!text) return undefined;
  return checkFlag("TASKER_PREPARE", text === "true" ? true : text === "false" ? false : text);
}

function dev(cwd: string): Source | null {
  const note = running(cwd);
  return note && { kind: "url", url: note.url, schema: note.schema };
}

/** What a running `tasker dev` or `tasker start --embedded` tells others of its folder, in `.tasker/dev.json` (mode 0600). */
export interface Note {
  readonly url: string;
  readonly schema: string;
  readonly pid: number;
  readonly command: "dev" | "start";
  /** The data folder of an embedded server. */
  readonly data?: string | undefined;
  /** Where its HTTP API is, if anybody on this machine may use that. */
  readonly http?: string | undefined;
}

/** The folder, in a project, for what is never committed: the embedded Postgres and that note. */
export const hidden = ".tasker";

/** The note of the process that runs in this folder or one above; null if there is not one, or its process has gone. */
export function running(cwd: string): Note | null {
  for (let folder = cwd; ; folder = dirname(folder)) {
    const note = readNote(join(folder, hidden, "dev.json"));
    if (note && isAlive(note.pid)) return note;
    if (dirname(folder) === folder) return null;
  }
}

function readNote(path: string): Note | null {
  try {
    const note = JSON.parse(readFileSync(path, "utf8")) as Partial<Record<keyof Note, unknown>> | null;
    if (typeof note?.url !== "string" || !Number.isInteger(note.pid)) return null;
    return {
      url: note.url,
      schema: typeof note.schema === "string" ? note.schema : "tasker",
      pid: note.pid as number,
      command: note.command === "start" ? "start" : "dev",
      data: typeof note.data === "string" ? note.data : undefined,
      http: typeof note.http === "string" ? note.http : undefined,
    };
  } catch {
    return null; // absent, or being written at this moment: as good as absent
  }
}

/** Whether a process lives, under whatever user. */
export function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // it lives, under another user
  }
}
