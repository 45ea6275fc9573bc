import { statSync } from "node:fs";
import { resolve } from "node:path";
import { BadUsage } from "../error.ts";
import type { Command, Input } from "../command.ts";
import type { Given } from "../given.ts";
import type { Settings } from "../config.ts";
import { link } from "../dev/link.ts";
import { loadEnv } from "../file.ts";
import { jobFiles } from "../load.ts";
import { byScript, watchParent } from "../parent.ts";
import { flagName, options } from "../option.ts";
import { withPaths } from "./start.ts";
import type { Script } from "../dev/script.ts";

/** `tasker dev`: runs jobs on a laptop, with nothing installed. */
export const dev: Command = {
  usage: "dev [...paths]",
  about: "Run jobs while you write them: reloads at each save, on an embedded Postgres in .tasker/",
  takes: "worker",
  flags: [
    {
      flag: "--run <file>",
      about: "Call this file's default export once all is ready; it may trigger runs and return them",
    },
    { flag: "--once", about: "With --run: stop when the runs that it returned are over" },
    { flag: "--skip-types", about: "Do not check types with the project's own TypeScript" },
  ],
  examples: [
    "tasker dev",
    "tasker dev examples/demo --run examples/demo/_start.ts",
    "tasker dev --run start.ts --once",
  ],
  run: async (input) => {
    const { args, given, out, settings } = input;
    const script = scriptOf(given);
    const env = { ...process.env }; // the processes that load the code read .env themselves, as it is by then
    loadEnv();
    const read = withPaths(await settings(), args);
    const wanted: Settings = { ...read, logFormat: out.json ? "json" : (read.logFormat ?? "pretty") };
    jobFiles(wanted.jobs, wanted.base); // a path that is none is a typing error, and no save mends that
    const [{ Board }, { Session }, { readKeys }] = await Promise.all([
      import("../dev/board.ts"),
      import("../dev/session.ts"),
      import("../dev/keys.ts"),
    ]);
    const board = new Board(process.stdout, wanted.logFormat === "json");
    let pressed = (_key: string): void => undefined;
    const place = await link(process.cwd(), { pressed: (key) => pressed(key), shown: (entry) => board.entry(entry) });
    if ("view" in place) return look(place.view, input, readKeys);
    board.told = (entry) => place.host.tell(entry);
    process.once("exit", () => place.host.close()); // the second q exits at once
    const session = new Session({
      env,
      settings: wanted,
      line: { paths: args, flags: flagsOf(given) },
      board,
      script,
      types: !given.on("skip-types"),
    });
    pressed = (key) => session.press(key);
    const restore = readKeys(pressed);
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    const onSignal = (): void => {
      unwatch(); // Ctrl-C ends npm and its shell, too: that is not a second signal
      session.press("q");
    };
    const unwatch = watchParent(byScript, onSignal);
    for (const signal of signals) process.on(signal, onSignal);
    try {
      return await session.run();
    } finally {
      unwatch();
      for (const signal of signals) process.off(signal, onSignal);
      restore();
      place.host.close();
    }
  },
};

/** Values of the flags that settings are read from, for the processes that load the code. */
function flagsOf(given: Given): Readonly<Record<string, readonly string[]>> {
  const names = ["config", ...options.map(flagName)];
  return Object.fromEntries(names.map((name) => [name, given.each(name)]));
}

/** Another dev has this folder: show what it shows, and hand it our keys. */
async function look(
  view: Extract<Awaited<ReturnType<typeof link>>, { readonly view: unknown }>["view"],
  { out }: Input,
  readKeys: (pressed: (key: string) => void) => () => void,
): Promise<void> {
  out.note("tasker dev runs in this folder already: this shows the same; q leaves, and it goes on");
  let leave = (): void => undefined;
  const left = new Promise<void>((done) => (leave = done));
  const restore = readKeys((key) => (key === "q" ? leave() : view.press(key)));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, leave);
  const unwatch = watchParent(byScript, leave);
  await Promise.race([left, view.over]);
  unwatch();
  view.leave();
  restore();
}

function scriptOf(given: Given): Script | null {
  const file = given.text("run");
  const once = given.on("once");
  if (file === null && once) throw new BadUsage("--once needs --run <file>, whose runs it waits for");
  if (file === null) return null;
  if (!statSync(file, { throwIfNoEntry: false })?.isFile())
    throw new BadUsage(`--run: "${file}" is no file; give one whose default export triggers runs`);
  return { file: resolve(file), once };
}
