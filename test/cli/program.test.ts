import { expect, test } from "vitest";
import { commands } from "../../cli/commands.ts";
import { nameOf } from "../../cli/command.ts";
import { BadUsage } from "../../cli/error.ts";
import { flagsOf, parse, type Line } from "../../cli/program.ts";

function run(...argv: string[]): Extract<Line, { do: "run" }> {
  const line = parse(argv, commands, "1.2.3");
  if (line.do !== "run") throw new Error(`expected a command to run, got ${line.do}`);
  return line;
}

/** The text of a command line that prints help or the version. */
function printed(...argv: readonly string[]): string {
  const line = parse(argv, commands, "1.2.3");
  if (line.do !== "print") throw new Error("expected something to print");
  return line.text;
}

test("values stay text: nothing is taken for a number", () => {
  const { args, given } = run("trigger", "hello", "7", "--key", "007", "--tag", "1e3", "--tag=0x10");

  expect(args).toEqual(["hello", "7"]);
  expect([given.text("key"), given.each("tag")]).toEqual(["007", ["1e3", "0x10"]]);
});

test("a dash alone is an argument, and a negative value is one", () => {
  const { args, given } = run("trigger", "hello", "-", "--delay", "-5s");

  expect([args, given.text("delay")]).toEqual([["hello", "-"], "-5s"]);
});

test("a flag without a value takes no argument for one", () => {
  const { args, given } = run("cancel", "--yes", "run_1", "--json", "run_2");

  expect([args, given.on("yes"), given.on("json")]).toEqual([["run_1", "run_2"], true, true]);
});

test("a value may be empty, hold an equals sign, or be left out where it is optional", () => {
  expect(run("runs", "--payload", "a.b=c=d", "--error=").given.each("payload")).toEqual(["a.b=c=d"]);
  expect(run("runs", "--error=").given.text("error")).toBe("");
  expect(run("trigger", "hello", "--wait").given.text("wait")).toBe("");
  expect(run("trigger", "hello", "--wait", "5s").given.text("wait")).toBe("5s");
});

test("all that follows -- is no flag", () => {
  expect(run("trigger", "hello", "--", "--json").args).toEqual(["hello", "--json"]);
});

test("flags may stand before the command", () => {
  const { command, given } = run("--json", "--config", "a.ts", "runs");

  expect([nameOf(command), given.on("json"), given.text("config")]).toEqual(["runs", true, "a.ts"]);
});

test("lists are cut at commas", () => {
  expect(run("runs", "--status", "failed,canceled", "--status", "pending").given.list("status")).toEqual([
    "failed",
    "canceled",
    "pending",
  ]);
});

test.each([
  [["statz"], /"statz" is not a command; did you mean "stats"\?/],
  [["xyzzy"], /"xyzzy" is not a command; the commands are init, dev/],
  [["--nope"], /^a command is missing; the commands are init, dev/],
  [["trigger", "hello", "--dealy", "5m"], /^"--dealy" is not an option of "tasker trigger"; did you mean --delay\?$/],
  [["runs", "--databaseurl=x"], /^"--databaseurl" is not .*; did you mean --database-url\?$/],
  [["runs", "--xyzzy"], /^"--xyzzy" is not an option of "tasker runs"; see them with: tasker runs --help$/],
  [["runs", "-x"], /^"-x" is not an option of "tasker runs"/],
  [["run"], /^<id> is missing; usage: tasker run <id>$/],
  [["trigger"], /^<job> is missing; usage: tasker trigger <job> \[payload\]$/],
  [
    ["nodes", "too", "-5"],
    /^"too", "-5" are too many; put a value that has spaces, .* in quotes; usage: tasker nodes$/,
  ],
  [["schedules", "pasue", "a@b"], /^"pasue" is not an act on schedules; did you mean "pause"\?$/],
  [["schedules", "upsrt", "a@b", "--cron", "@daily"], /^"upsrt" is not an act on schedules; did you mean "upsert"\?$/],
  [["schedules", "xyzzy"], /^"xyzzy" is not an act on schedules; the acts are get, preview, /],
  [["schedules", "pause"], /^<ids> is missing; usage: tasker schedules pause <...ids>$/],
  [["schedul"], /^"schedul" is not a command; did you mean "schedules"\?$/],
  [["trigger", "hello", "--key"], /^--key needs a value; write: --key <key>$/],
  [["trigger", "hello", "--tag", "a", "--tag"], /^--tag needs a value; write: --tag <tag>$/],
  [["cancel", "run_1", "--yes=false"], /^--yes takes no value; write: --yes$/],
])("%j is refused with a hint", (argv, message) => {
  expect(() => parse(argv, commands, "1")).toThrow(message);
  expect(() => parse(argv, commands, "1")).toThrow(BadUsage);
});

test("--version prints the version", () => {
  expect(printed("--version")).toMatch(/^tasker\/1\.2\.3 /);
});

test("a command of two words is found, also with flags between them, and keeps its arguments", () => {
  const { command, args, given } = run("--json", "schedules", "--config", "a.ts", "pause", "a@b", "pause");

  expect([nameOf(command), args, given.text("config")]).toEqual(["schedules pause", ["a@b", "pause"], "a.ts"]);
  expect(nameOf(run("schedules", "--paused").command)).toBe("schedules");
});

test("help without a command lists every command", () => {
  const text = printed();

  for (const command of commands) expect(text).toContain(`  ${command.usage}`);
});

test("the help of a command shows its flags, its keys with variable and default, and an example", () => {
  for (const command of commands) {
    const text = printed(...nameOf(command).split(" "), "--help");

    for (const { flag, about } of flagsOf(command)) {
      expect(text).toContain(flag);
      expect(text).toContain(about);
    }
    expect(text).toMatch(new RegExp(`Examples:\n  \\$ .*tasker ${nameOf(command)}`));
    expect(text).not.toMatch(/ $/m);
  }
});

test("tasker help <command> is tasker <command> --help", () => {
  for (const words of [["runs"], ["schedules", "upsert"]])
    expect(printed("help", ...words)).toBe(printed(...words, "--help"));
});

test("--json is a document for commands that answer, and lines of the log for those that run jobs", () => {
  expect(printed("runs", "--help")).toMatch(/--json +Print one JSON document/);
  for (const name of ["dev", "start"])
    expect(printed(name, "--help")).toMatch(/--json +Write the log as lines of JSON\n/);
});
