import type { Command } from "../command.ts";
import { locate, noDatabase } from "../database.ts";
import { exit } from "../error.ts";

/** `tasker migrate`: brings the schema up to date, or with `--check` says what is missing. */
export const migrate: Command = {
  usage: "migrate",
  about: "Bring the schema of the database up to date",
  flags: [{ flag: "--check", about: "Change nothing; exit with 1 if something is missing" }],
  examples: ["tasker migrate", "tasker migrate --check"],
  run: async ({ given, out, settings }) => {
    const database = locate(await settings());
    if (!database) throw noDatabase();
    const admin = await import("../../runtime/store/admin.ts");
    if (given.on("check")) {
      const missing = await admin.pending(database);
      out.answer({ missing }, () =>
        missing.length > 0
          ? `missing: ${missing.join(", ")}; run: tasker migrate`
          : `schema "${database.schema}" is up to date`,
      );
      return missing.length > 0 ? exit.failed : exit.ok;
    }
    const result = await admin.migrate(database);
    const from = result.from ?? "nothing";
    out.answer(result, () =>
      result.applied.length > 0
        ? `schema "${database.schema}" brought from ${from} to ${result.to}`
        : `schema "${database.schema}" is up to date at ${result.to}`,
    );
    return exit.ok;
  },
};
