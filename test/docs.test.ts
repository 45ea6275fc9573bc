import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { nameOf } from "../cli/command.ts";
import { commands } from "../cli/commands.ts";
import { flagName, options } from "../cli/option.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const pages = [
  ...["README.md", "CONTRIBUTING.md", "SECURITY.md"],
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).map((name) => `docs/${name}`),
].filter((name) => name.endsWith(".md"));
const examples = readdirSync(join(root, "examples")).map((name) => `examples/${name}/README.md`);

/** A block of code: of which page, in which language, from which line. */
interface Block {
  readonly page: string;
  readonly language: string;
  readonly line: number;
  readonly code: string;
}

function blocksOf(page: string): readonly Block[] {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/^```(\w*)[^\n]*\n(.*?)^```$/gms)].map(({ 1: language = "", 2: code = "", index }) => ({
    page,
    language,
    line: text.slice(0, index).split("\n").length,
    code,
  }));
}

/** Where the compiler believes a block to be: in a folder of the page's own, by the name after `// file:`, else by its line. */
function placeOf({ page, line, code }: Block): string {
  const name = /^\/\/ file: (\S+)\n/.exec(code)?.[1] ?? `line-${line}.ts`;
  return join(root, "docs", page.replace(/^docs\/|\.md$/g, ""), name);
}

/** Type-checks sources that exist in memory alone, all together, against the sources of tasker. Answers what is wrong, by place. */
function complaints(sources: ReadonlyMap<string, string>): readonly string[] {
  const file = join(root, "tsconfig.json");
  const { options: base } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(file, ts.sys.readFile).config,
    ts.sys,
    root,
  );
  const settings: ts.CompilerOptions = { ...base, noUnusedLocals: false, paths: ours };
  const host = ts.createCompilerHost(settings);
  const { fileExists, readFile, directoryExists } = host;
  const folders = new Set([...sources.keys()].flatMap((path) => [dirname(path), dirname(dirname(path))]));
  host.fileExists = (path) => sources.has(path) || fileExists(path);
  host.readFile = (path) => sources.get(path) ?? readFile(path);
  host.directoryExists = (path) => folders.has(path) || directoryExists!(path);
  const program = ts.createProgram([...sources.keys()], settings, host);
  const found = [...sources.keys()].flatMap((path) => {
    const source = program.getSourceFile(path)!;
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
  });
  return found.map(({ file: at, start = 0, messageText }) => {
    const where = at ? `${at.fileName.slice(root.length)}:${at.getLineAndCharacterOfPosition(start).line + 1}` : "";
    return `${where} ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
  });
}

const ours = {
  tasker: [join(root, "sdk/index.ts")],
  "tasker/runtime": [join(root, "runtime/index.ts")],
  "tasker/client": [join(root, "sdk/remote.ts")],
  "tasker/http": [join(root, "runtime/http/index.ts")],
  "tasker/metrics": [join(root, "runtime/metrics/index.ts")],
  "tasker/telemetry": [join(root, "sdk/trace/index.ts")],
  "tasker/testing": [join(root, "runtime/testing/index.ts")],
};

test("every block of TypeScript in README and docs compiles", () => {
  const blocks = pages.flatMap(blocksOf).filter(({ language }) => language === "ts");
  const sources = new Map(blocks.map((block) => [placeOf(block), `${block.code}\nexport {};\n`]));

  const wrong = complaints(sources);

  expect(blocks.length).toBeGreaterThan(15);
  expect(sources.size).toBe(blocks.length);
  expect(wrong).toEqual([]);
}, 120_000);

test("a block that does not compile is found, with its place", () => {
  const sources = new Map([
    [join(root, "docs/x/line-1.ts"), 'import { defineJob } from "tasker";\nexport const x: string = defineJob;\n'],
  ]);

  const wrong = complaints(sources);

  expect(wrong).toEqual([expect.stringMatching(/^docs\/x\/line-1\.ts:2 .*not assignable to type 'string'/)]);
}, 120_000);

describe.each([...pages, ...examples])("%s", (page) => {
  const text = readFileSync(join(root, page), "utf8");

  test("links lead somewhere", () => {
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link]) => link!)
      .filter((link) => !/^https?:/.test(link));

    const dead = links.filter((link) => !leads(link, page));

    expect(dead).toEqual([]);
  });

  test("commands exist, with all their flags", () => {
    const lines = blocksOf(page)
      .filter(({ language }) => language === "sh" || language === "")
      .flatMap(({ code }) => code.split("\n"))
      .filter((line) => !line.startsWith("npm "));

    const wrong = lines
      .flatMap((line) => [...line.matchAll(/(?:^|\s)(?:npx )?tasker ([a-z].*?)(?:\s{2,}#.*)?$/g)])
      .filter(([, rest]) => !isCommand(rest!));

    expect(wrong.map(([line]) => line.trim())).toEqual([]);
  });
});

function leads(link: string, page: string): boolean {
  const [path, heading] = link.split("#") as [string, string?];
  const file = path === "" ? join(root, page) : resolve(root, dirname(page), path);
  if (!existsSync(file)) return false;
  if (heading === undefined) return true;
  const headings = [...readFileSync(file, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!.toLowerCase().replace(/[^\w -]/g, ""),
  );
  return headings.some((title) => title.replaceAll(" ", "-") === heading);
}

function isCommand(line: string): boolean {
  const named = commands.filter((each) => `${line} `.startsWith(`${nameOf(each)} `));
  const command = named.toSorted((a, b) => nameOf(a).length - nameOf(b).length).at(-1);
  if (!command) return false;
  const known = [
    ...(command.flags ?? []).map(({ flag }) => flag),
    ...options.map((option) => `--${flagName(option)}`),
    "--json",
    "--help",
  ];
  const names = new Set(known.map((flag) => /--[\w-]+/.exec(flag)![0]));
  return [...line.matchAll(/(?<=\s)--[\w-]+/g)].every(([flag]) => names.has(flag));
}
