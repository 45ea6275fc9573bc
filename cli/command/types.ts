import type { Command, Input } from "../command.ts";
import type { Given } from "../given.ts";
import { withStore } from "../database.ts";
import { ActFailed, BadUsage, exit } from "../error.ts";
import { read, write } from "../file.ts";
import { objectOf, typeOf } from "../types/print.ts";
import { ofRecord, ofJob, type Typed } from "../types/source.ts";

const usual = "tasker.jobs.d.ts"; // not tasker.d.ts: with "baseUrl" that would be taken for the package itself

/** `tasker types`: tells TypeScript of the jobs, where their code can't be imported. */
export const types: Command = {
  usage: "types [...paths]",
  about: "Write a .d.ts of the jobs, so that trigger() by id is typed where their code can't be imported",
  flags: [
    { flag: "--out <file>", about: `Where to write (default: ${usual})` },
    { flag: "--from <source>", about: "files: the job files; database: what processes published (default: files)" },
    { flag: "--check", about: "Write nothing; exit with 1 if the file is not up to date" },
  ],
  examples: ["tasker types", "tasker types --from database --out src/tasker.jobs.d.ts", "tasker types --check"],
  run: async (input) => {
    const { given, out } = input;
    const source = sourceOf(given);
    const file = given.text("out") ?? usual;
    const jobs = source === "files" ? await inFiles(input) : await inDatabase(input);
    const text = declarations(jobs, source);
    const isChanged = read(file, "give another file with --out")?.replaceAll("\r\n", "\n") !== text;
    const check = given.on("check");
    if (isChanged && !check) write(file, text);
    const count = `${jobs.length} job${jobs.length === 1 ? "" : "s"}`;
    out.answer({ file, jobs: jobs.map(({ id }) => id).toSorted(), changed: isChanged }, () => {
      if (!isChanged) return `${file} is up to date: ${count}`;
      return check ? `${file} is not up to date; run the same command without --check` : `wrote ${file}: ${count}`;
    });
    return check && isChanged ? exit.failed : exit.ok;
  },
};

type Source = "files" | "database";

function sourceOf(given: Given): Source {
  const source = given.text("from") ?? "files";
  if (source === "files" || source === "database") return source;
  throw new BadUsage(`--from: "${source}" is neither files nor database`);
}

async function inFiles({ args, settings }: Input): Promise<readonly Typed[]> {
  const [{ loadJobs }, { withPaths }] = await Promise.all([import("../load.ts"), import("./start.ts")]);
  return (await loadJobs(withPaths(await settings(), args))).map(ofJob);
}

async function inDatabase({ args, settings }: Input): Promise<readonly Typed[]> {
  if (args.length > 0) throw new BadUsage("--from database and paths of job files were given; give one of them");
  const records = await withStore(await settings(), (store) => store.find.jobs());
  if (records.length > 0) return records.map(ofRecord);
  throw new ActFailed(
    'no jobs are known to this database; start a process that has some with "tasker dev" or "tasker start"',
  );
}

/** The text of the file. */
export function declarations(jobs: readonly Typed[], source: Source): string {
  const named = new Map<string, string>();
  const entries = jobs
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ id, description, input, output }) => {
      const type = objectOf([
        { key: "input", type: typeOf(input, { side: "input", name: id, named }) },
        { key: "output", type: typeOf(output, { side: "output", name: id, named }) },
      ]);
      return { key: id, type, about: description };
    });
  const from = source === "files" ? "the job files" : "what processes published in the database";
  const aliases = [...named].map(([name, type]) => `type ${name} = ${type};\n`);
  return `/* eslint-disable */
// Written by "tasker types" from ${from}. Do not edit it: run that again.
// Where this file is part of a program, trigger("id", payload) of "tasker" takes these jobs, and no others.
${aliases.map((alias) => `\n${alias}`).join("")}
declare module "tasker" {
  interface Jobs ${objectOf(entries).replaceAll("\n", "\n  ")}
}

export {};
`;
}
