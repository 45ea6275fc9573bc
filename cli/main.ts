#!/usr/bin/env node
import { realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { commands } from "./commands.ts";
import { settings } from "./config.ts";
import { describe, document, exitCode, exit } from "./error.ts";
import { output } from "./view/output.ts";
import { parse } from "./program.ts";

/** Runs one command line and answers its exit code: 0 ok, 1 the act failed or nothing matched, 2 bad usage. Errors are printed.
 *  `argv` is what follows `tasker`. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const { version } = createRequire(import.meta.url)("tasker/package.json") as { version: string };
    const line = parse(argv, commands, version);
    if (line.do === "print") {
      process.stdout.write(`${line.text}\n`);
      return exit.ok;
    }
    const { command, args, given } = line;
    const out = output(given.on("json"));
    return (await command.run({ args, given, out, settings: () => settings(given) })) ?? exit.ok;
  } catch (error) {
    if (argv.includes("--json")) process.stdout.write(`${JSON.stringify(document(error), null, 2)}\n`);
    process.stderr.write(`${describe(error, argv.includes("--debug"))}\n`);
    return exitCode(error);
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(exit.ok); // the reader, `head` for example, has had enough
  });
  const awake = setInterval(() => undefined, 60_000); // what is awaited may hold no handle of its own: a store's idle connection
  const code = await main(process.argv.slice(2));
  clearInterval(awake);
  process.stdout.write("", () => process.exit(code)); // what a job file left open must not keep the process alive
}
