/** `tasker.config.ts` of a new project. */
export const config = `import { defineConfig } from "tasker";

/** What every command reads. Each key has a default, a flag and a variable: see "tasker start --help". */
export default defineConfig({
  jobs: ["jobs/"],
  // slots: 50, // runs at once in a process
  // queues: { mail: { concurrency: 5 } },
  // Which database: set TASKER_DATABASE_URL. Without it, "tasker dev" brings its own.
});
`;

/** `jobs/hello.ts` of a new project: something happens soon, and it can be triggered. */
export const hello = `import { defineJob } from "tasker";
import { z } from "zod";

export const hello = defineJob({
  id: "hello",
  schema: z.object({ name: z.string().min(1) }),
  schedule: { every: "10s", payload: { name: "World" } }, // or cron: "0 9 * * MON-FRI"
  handler: async ({ name }, ctx) => {
    ctx.log.info("Greeting", { name });
    return \`Hello, \${name}!\`;
  },
});
`;

/** A payload that `hello` takes. */
export const payload = `{"name":"Ada"}`;

/** `tsconfig.json` of a new project; `esm`: its package.json says "type": "module". */
export function tsconfig(esm: boolean): string {
  const compilerOptions = {
    target: "es2023",
    module: esm ? "nodenext" : "preserve", // as tasker loads it: imports of packages that are ES modules work in CommonJS, too
    types: ["node"], // from TypeScript 6 on none is taken unless it is named
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
  };
  return `${JSON.stringify({ compilerOptions }, null, 2)}\n`;
}
