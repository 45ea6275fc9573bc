import { readFileSync } from "node:fs";
import ts from "typescript";
import { expect, test } from "vitest";
import { commands } from "../../cli/commands.ts";
import { nameOf } from "../../cli/command.ts";
import { options } from "../../cli/option.ts";
import { common, flagsOf } from "../../cli/program.ts";
import { settings } from "../../cli/config.ts";
import { flags } from "./given.ts";
import { folder } from "./folder.ts";

const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");

test("docs/configuration.md prints the table of keys as it is", () => {
  const rows = options.map(({ key, flag, variable, default: value, about }) => {
    const shown = value === null ? "none" : value.includes(" ") ? value : `\`${value}\``;
    return `| \`${key}\` | \`${flag}\` | \`${variable}\` | ${shown} | ${about} |`;
  });

  const printed = page.split("\n").filter((line) => /^\| `[a-zA-Z.]+` \|/.test(line));

  expect(printed).toEqual(rows);
});

test("the defaults of the table are those that are read", async () => {
  const all = await settings(flags({ "inbox-dir": "inbox" }), {}, folder());
  const read = all as unknown as Readonly<Record<string, Readonly<Record<string, unknown>>>>;

  for (const { key, default: shown } of options) {
    const [outer, inner] = key.split(".") as [string, string?];
    const value = inner ? read[outer]![inner] : read[key];
    if (shown !== null && value !== null) expect([key, String(value)]).toEqual([key, shown]);
  }
});

test("keys, flags and variables are each unique", () => {
  for (const of of ["key", "flag", "variable"] as const)
    expect(new Set(options.map((option) => option[of])).size).toBe(options.length);
});

test("a flag takes a value in all commands or in none", () => {
  const kinds = new Map<string, string>();
  for (const command of commands)
    for (const { flag } of [...flagsOf(command), ...common]) {
      const [, name, kind = "none"] = /^--([a-z-]+)(?: ([<[]))?/.exec(flag)!;

      expect([nameOf(command), name, kinds.get(name!) ?? kind]).toEqual([nameOf(command), name, kind]);
      kinds.set(name!, kind);
    }
});

test("no command has a flag twice", () => {
  for (const command of commands) {
    const names = [...flagsOf(command), ...common].map(({ flag }) => flag.split(" ")[0]);

    expect([nameOf(command), new Set(names).size]).toEqual([nameOf(command), names.length]);
  }
});

test("what an editor shows of a key of defineConfig is what the table says of it", () => {
  const text = readFileSync(new URL("../../sdk/client/config.ts", import.meta.url), "utf8");
  const config = ts
    .createSourceFile("config.ts", text, ts.ScriptTarget.Latest, true)
    .statements.filter(ts.isInterfaceDeclaration)
    .find(({ name }) => name.text === "Config")!;
  const said = (member: ts.TypeElement): string =>
    ts
      .getTextOfJSDocComment(ts.getJSDocCommentsAndTags(member).filter(ts.isJSDoc)[0]?.comment)!
      .replaceAll(/\s+/g, " ");
  const keysOf = (members: readonly ts.TypeElement[], path = ""): readonly (readonly [string, string])[] =>
    members.filter(ts.isPropertySignature).flatMap((member) => {
      const key = path + member.name.getText();
      const inner = ts.isUnionTypeNode(member.type!) ? member.type.types.find(ts.isTypeLiteralNode) : undefined;
      return inner ? keysOf([...inner.members], `${key}.`) : [[key, said(member)] as const];
    });

  const shown = new Map(keysOf([...config.members]));

  expect([...shown.keys()]).toEqual(options.map(({ key }) => key));
  for (const { key, about, default: usual } of options) {
    expect([key, shown.get(key)]).toEqual([key, expect.stringContaining(about)]);
    if (usual !== null)
      expect([key, shown.get(key)?.replaceAll("`", "")]).toEqual([key, expect.stringContaining(`${usual} by default`)]);
  }
});
