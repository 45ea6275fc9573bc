import { launch, type Running } from "./process.ts";
import { saveWord } from "./project.ts";

/** One way to get new code to run after a save. */
export interface Contender {
  readonly name: string;
  /** Waits until it serves. */
  start(): Promise<void>;
  /** Saves the shared file. Answers when it said that the new code serves, by `performance.now()`. */
  save(word: string): Promise<number>;
  readonly pid: number;
  stop(): Promise<void>;
}

/** The command line of a project. */
export const tasker = "../node_modules/tasker/dist/cli/main.js";

/** Ways of a folder, which begin in `args` and say `ready` at the start; `again` after a save. */
function watching(
  name: string,
  [folder, env]: readonly [string, NodeJS.ProcessEnv],
  { args, ready, again }: { readonly args: readonly string[]; readonly ready: string; readonly again: string },
): Contender {
  let running: Running;
  return {
    name,
    async start() {
      running = launch(args, folder, env);
      await running.says(ready);
    },
    save(word) {
      const said = running.says(again);
      saveWord(folder, word);
      return said;
    },
    get pid() {
      return running.pid;
    },
    stop: () => running.end("SIGINT"),
  };
}

/** `tasker dev`. */
export function dev(folder: string, env: NodeJS.ProcessEnv): Contender {
  return watching("tasker dev", [folder, env], { args: [tasker, "dev"], ready: "Ready", again: "Reloaded" });
}

/** `tsx watch` on a file that starts a runtime. */
export function tsxWatch(folder: string, env: NodeJS.ProcessEnv): Contender {
  const args = ["../node_modules/tsx/dist/cli.mjs", "watch", "--clear-screen=false", "main.ts"];
  return watching("tsx watch", [folder, env], { args, ready: "Runtime started", again: "Runtime started" });
}

/** `tasker start`, told to stop at the save itself, and started anew as soon as it has. */
export function restart(folder: string, env: NodeJS.ProcessEnv): Contender {
  let running: Running;
  const begin = (): Promise<number> => {
    running = launch([tasker, "start"], folder, env);
    return running.says("Runtime started");
  };
  return {
    name: "restart of tasker start",
    async start() {
      await begin();
    },
    async save(word) {
      saveWord(folder, word);
      await running.end("SIGTERM");
      return begin();
    },
    get pid() {
      return running.pid;
    },
    stop: () => running.end("SIGTERM"),
  };
}
