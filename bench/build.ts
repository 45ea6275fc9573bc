import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const here = dirname(fileURLToPath(import.meta.url));

/** Compiles what runs in processes of the harness to bench/dist, so that they start in plain Node: a loader would cost each contender.
 *  Beside it a copy of tasker as it was built.
 *  @returns the folder
 *  @throws {Error} if tasker was not built */
export function build(): string {
  const out = join(here, "dist");
  rmSync(out, { recursive: true, force: true });
  mkdirSync(join(out, "contenders"), { recursive: true });
  const built = join(here, "..", "dist");
  if (!existsSync(built)) throw new Error('tasker is not built; run "npm run build"');
  cpSync(built, join(out, "tasker"), { recursive: true, filter: (path) => !path.endsWith(".d.ts") }); // a build in the middle of a run shall not change what is measured
  const own = ["process", "cold", "act", "tally", "number", "contender"].map((name) => `${name}.ts`);
  const theirs = readdirSync(join(here, "contenders")).map((name) => join("contenders", name));
  for (const file of [...own, ...theirs]) {
    const { outputText } = ts.transpileModule(readFileSync(join(here, file), "utf8"), {
      compilerOptions: {
        target: ts.ScriptTarget.ES2023,
        module: ts.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
        rewriteRelativeImportExtensions: true,
      },
      fileName: file,
    });
    writeFileSync(join(out, file.replace(/\.ts$/, ".js")), outputText);
  }
  return out;
}
