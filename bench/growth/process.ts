/** Children of a growth test. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Report, Role, Signals } from "./child.ts";

export interface Child {
  readonly pid: number;
  /** What it saw since the last call. */
  report(): Promise<Report>;
  signals(): Promise<Signals>;
  /** What is left in its heap after a collection. */
  heapMb(): Promise<number>;
  /** Ends it in order. */
  stop(): Promise<void>;
}

const script = fileURLToPath(new URL("child.ts", import.meta.url));
const living = new Set<() => void>();

/** Starts a worker or producer, and resolves once it is up. */
export async function start(role: Role): Promise<Child> {
  const child = fork(script, {
    execArgv: ["--import", "tsx", "--expose-gc"],
    env: { ...process.env, TASKER_GROWTH: JSON.stringify(role) },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const kill = (): void => void child.kill("SIGKILL");
  living.add(kill);
  const gone = once(child, "exit").then(() => void living.delete(kill));
  const dead = gone.then((): never => {
    throw new Error(`the ${role.role} process ended by itself`);
  });
  dead.catch(() => undefined); // heard where somebody waits for an answer
  await Promise.race([once(child, "message"), dead]);
  const ask = async (word: string): Promise<unknown> => {
    const answer = once(child, "message");
    child.send(word);
    return (await Promise.race([answer, dead]))[0];
  };
  return {
    pid: child.pid!,
    report: () => ask("report") as Promise<Report>,
    signals: () => ask("signals") as Promise<Signals>,
    heapMb: () => ask("heap") as Promise<number>,
    async stop() {
      child.send("stop");
      await gone;
    },
  };
}

/** Kills what is left of them. */
export function endAll(): void {
  for (const kill of [...living]) kill();
}
