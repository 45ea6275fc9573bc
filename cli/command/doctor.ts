import { createRequire } from "node:module";
import { toMs, type DurationText } from "../../sdk/port/duration.ts";
import type { Command } from "../command.ts";
import { parsed, type Settings, tried } from "../config.ts";
import { locate, type Database } from "../database.ts";
import { fault, fine, note, type Finding } from "../doctor/finding.ts";
import { folder, nodeVersion, platform } from "../doctor/machine.ts";
import { exit } from "../error.ts";
import { exitOf, levelLine, tally } from "../view/finding.ts";
import { redact } from "../view/redact.ts";

/** `tasker doctor`: what is wrong here and in the database, and what to do about it. Changes nothing. */
export const doctor: Command = {
  usage: "doctor",
  about: "Look for what is wrong with this machine, the database and tasker in it, and say what to do",
  flags: [
    { flag: "--strict", about: "Exit with 1 for warnings, too" },
    { flag: "--open <duration>", about: "Tell of transactions that have been open for longer (default: 1m)" },
  ],
  examples: ["tasker doctor", "tasker doctor --json", "tasker doctor --strict --open 10s"],
  run: async ({ given, out, settings }) => {
    const longMs = parsed("--open", () => toMs((given.text("open") ?? "1m") as DurationText));
    const { chosen, found } = await choose(settings);
    const list = [...(await machine()), ...found];
    if (chosen) {
      const { database } = await import("../doctor/database.ts");
      list.push(...(await database(chosen, { longMs, now: Date.now })));
    }
    const findings = list.map(clean);
    const levels = findings.map(({ level }) => level);
    const code = exitOf(levels, given.on("strict"));
    out.answer({ ok: code === exit.ok, findings }, () => {
      const lines = findings.map(({ level, check, found: text, todo }) =>
        levelLine(level, `${check}: ${text}${todo === null ? "" : `\n→ ${todo}`}`, out.colors),
      );
      return [...lines, "", tally(levels)].join("\n");
    });
    return code;
  },
};

async function machine(): Promise<readonly Finding[]> {
  const { engines } = createRequire(import.meta.url)("tasker/package.json") as { engines: { node: string } };
  return [
    nodeVersion(process.versions.node, engines.node),
    platform(process.platform, process.arch),
    ...(await folder(process.cwd())),
  ];
}

/** The configuration and the database that it leads to. */
async function choose(
  settings: () => Promise<Settings>,
): Promise<{ readonly chosen: Database | null; readonly found: readonly Finding[] }> {
  const read = await tried(async () => {
    const { file, ...rest } = await settings();
    return { file, chosen: locate(rest) };
  });
  if (read instanceof Error) return { chosen: null, found: [fault("config", read.message, "correct it")] };
  return { chosen: read.chosen, found: [fine("config", read.file ?? "no config file"), databaseOf(read.chosen)] };
}

function databaseOf(chosen: Database | null): Finding {
  if (chosen) return fine("database", `${chosen.url} schema ${chosen.schema}, from ${chosen.from}`);
  return note(
    "database",
    "no database is known, so none was looked at",
    'give --database-url, set TASKER_DATABASE_URL or databaseUrl in tasker.config.ts, or start "tasker dev" in this folder',
  );
}

function clean(finding: Finding): Finding {
  return { ...finding, found: redact(finding.found) };
}
