/** The files of deploy/, read as those read them for whom they are. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { parseAllDocuments } from "yaml";
import type { z } from "zod";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Paths of the files below a folder of the project, relative to the project. */
export function filesIn(folder: string): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length));
}

export function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** The documents of a YAML file, one for each schema.
 *  @throws for what is no YAML, for a key that is there twice, and for what the schema refuses */
export function yaml<const T extends readonly z.ZodType[]>(
  path: string,
  ...schemas: T
): { [I in keyof T]: z.output<T[I]> } {
  const documents = parseAllDocuments(read(path));
  expect(documents).toHaveLength(schemas.length);
  const values = documents.map((document, i) => {
    if (document.errors.length > 0) throw document.errors[0]!;
    return schemas[i]!.parse(document.toJS());
  });
  return values as { [I in keyof T]: z.output<T[I]> }; // each by its own schema
}

/** An instruction of a Dockerfile, its lines joined. */
export interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** Stages of the Dockerfile, each from its FROM on. */
export function stages(): readonly (readonly Instruction[])[] {
  const lines = read("deploy/Dockerfile")
    .replace(/^#.*\n/gm, "")
    .replace(/\\\n\s*/g, "")
    .split("\n")
    .filter(Boolean);
  const all = lines.map((line) => {
    const [, name, rest] = /^([A-Z]+) (.*)$/.exec(line)!;
    return { name: name!, rest: rest! };
  });
  const starts = all.flatMap(({ name }, i) => (name === "FROM" ? [i] : []));
  return starts.map((start, i) => all.slice(start, starts[i + 1]));
}

/** The instructions of a name, in the last stage or another. */
export function told(name: string, stage = stages().at(-1)!): readonly string[] {
  return stage.filter((each) => each.name === name).map(({ rest }) => rest);
}

/** The command with which the image's health is checked, as words. */
export function health(): readonly string[] {
  return JSON.parse(told("HEALTHCHECK")[0]!.replace(/^.*? CMD /, "")) as string[];
}

/** Settings of the systemd unit: `Service.ExecStart`, each with its values in order. */
export function unit(): ReadonlyMap<string, readonly string[]> {
  const settings = new Map<string, string[]>();
  let section = "";
  for (const line of read("deploy/tasker.service").split("\n")) {
    const [, head] = /^\[(\w+)\]$/.exec(line) ?? [];
    if (head !== undefined) section = head;
    const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (name === undefined) continue;
    const key = `${section}.${name}`;
    settings.set(key, [...(settings.get(key) ?? []), value!]);
  }
  return settings;
}

/** Seconds of "40s", "40", or 40. */
export function seconds(span: unknown): number {
  const [, count, unit] = /^(\d+)(s|m)?$/.exec(String(span))!;
  return Number(count) * (unit === "m" ? 60 : 1);
}

/** Whether a program is installed on this machine. */
export function has(program: string): boolean {
  return spawnSync(program, ["--version"]).error === undefined;
}

/** A port that nobody listens on at this moment, for a program that can't take any. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
