import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const jobCount = 10;

/** A folder whose subfolders are projects that have `tasker` and its dependencies installed: a copy of what is built, so that a build
 *  meanwhile disturbs nobody, and links to packages. */
export function place(): string {
  const folder = mkdtempSync(join(tmpdir(), "tasker-bench-"));
  const own = join(folder, "node_modules", "tasker");
  cpSync(join(root, "dist"), join(own, "dist"), { recursive: true });
  cpSync(join(root, "package.json"), join(own, "package.json"));
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly dependencies: object;
    readonly optionalDependencies: object;
  };
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    const installed = join(root, "node_modules", name);
    if (!existsSync(installed)) continue; // of another platform
    mkdirSync(dirname(join(folder, "node_modules", name)), { recursive: true });
    symlinkSync(installed, join(folder, "node_modules", name));
  }
  return folder;
}

/** A project of 10 job files and 6 shared files, which import zod, kysely, pg and pino. Ids of jobs begin with its folder's `name`;
 *  each job answers with the word of `lib/word.ts`, as a datagram to `port`. `main.ts` runs them without the command line. */
export function project(within: string, name: string, port: number): string {
  const folder = join(within, name);
  const files: Record<string, string> = { "package.json": `{"type":"module"}`, ...shared(port), "main.ts": main };
  for (let n = 1; n <= jobCount; n++) files[`jobs/job${n}.ts`] = job(name, n);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  saveWord(folder, "first");
  return folder;
}

/** Saves the shared file that all jobs import. */
export function saveWord(folder: string, word: string): void {
  writeFileSync(join(folder, "lib/word.ts"), `export const word: string = "${word}";\n`);
}

function shared(port: number): Readonly<Record<string, string>> {
  return {
    "lib/word.ts": "", // saved apart
    "lib/schema.ts": `import { z } from "zod";
export const payload = z.object({ n: z.int(), at: z.date().optional(), email: z.email().optional() });
`,
    "lib/db.ts": `import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
export const db = new Kysely<{ users: { id: string } }>({ dialect: new PostgresDialect({ pool: new pg.Pool({ max: 1 }) }) });
`,
    "lib/log.ts": `import { pino } from "pino";
export const log = pino({ level: "warn" });
`,
    "lib/answer.ts": `import { createSocket } from "node:dgram";
import { word } from "./word.ts";
const socket = createSocket("udp4");
socket.unref();
export const answer = (): void => socket.send(word, ${port}, "127.0.0.1");
`,
    "lib/text.ts": `import { word } from "./word.ts";
export const greet = (n: number): string => \`\${word} \${n}\`;
`,
  };
}

function job(name: string, n: number): string {
  return `import { defineJob } from "tasker";
import { answer } from "../lib/answer.ts";
import { db } from "../lib/db.ts";
import { log } from "../lib/log.ts";
import { payload } from "../lib/schema.ts";
import { greet } from "../lib/text.ts";

export const job${n} = defineJob({
  id: "${name}-job${n}",
  schema: payload,
  handler: async ({ n }) => {
    answer();
    log.debug(db.selectFrom("users").selectAll().compile().sql);
    return greet(n);
  },
});
`;
}

const names = Array.from({ length: jobCount }, (_, i) => `job${i + 1}`);
const main = `import { createRuntime, postgres } from "tasker/runtime";
${names.map((name) => `import { ${name} } from "./jobs/${name}.ts";`).join("\n")}

const { TASKER_DATABASE_URL: url, TASKER_SCHEMA: schema } = process.env;
const runtime = createRuntime({ store: postgres({ url: url!, schema: schema! }), jobs: [${names.join(", ")}] });
process.once("SIGTERM", () => void runtime.stop().then(() => process.exit(0)));
await runtime.start();
console.log("Runtime started");
`;
