import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** How long anything that is waited for may take. */
const patienceMs = 30_000;

/** A process under measurement. */
export interface Running {
  readonly pid: number;
  /** Waits until stdout has the text, in what it prints from now on. Answers when it came, by `performance.now()`.
   *  @throws {Error} if the process ends before, or after 30 s */
  says(text: string): Promise<number>;
  /** Sends the signal, and waits for the end. */
  end(signal: "SIGINT" | "SIGTERM"): Promise<void>;
  readonly ended: Promise<void>;
}

const groups = new Set<number>();
process.on("exit", endAll);

/** Ends at once whatever was launched and lives. */
export function endAll(): void {
  groups.forEach(killGroup);
}

/** Starts a Node program in a process group of its own, which does not outlive this process. */
export function launch(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Running {
  const child = spawn(process.execPath, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const pid = child.pid!;
  groups.add(pid);
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (printed += text));
  const ended = new Promise<void>((resolve) => child.once("close", resolve)).finally(() => groups.delete(pid));
  return {
    pid,
    async says(wanted) {
      const from = printed.length;
      const aborting = new AbortController();
      const failed = (why: string): Error =>
        new Error(`${args.join(" ")} ${why} before it said "${wanted}": …${printed.slice(-2000)}`);
      try {
        return await new Promise<number>((resolve, reject) => {
          const look = (): void => void (printed.includes(wanted, from) && resolve(performance.now()));
          child.stdout.on("data", look);
          aborting.signal.addEventListener("abort", () => child.stdout.off("data", look));
          const timer = setTimeout(() => reject(failed("took 30 s")), patienceMs);
          aborting.signal.addEventListener("abort", () => clearTimeout(timer));
          void ended.then(() => reject(failed("ended")));
        });
      } finally {
        aborting.abort();
      }
    },
    async end(signal) {
      child.kill(signal);
      await ended;
    },
    ended,
  };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // gone already
  }
}

/** Memory of a process and all below it, as PSS (what they share counts once), in MiB; null where the system does not tell. */
export function memoryOf(pid: number): { readonly mib: number; readonly processes: number } | null {
  if (process.platform !== "linux") return null;
  const parents = new Map(
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((name) => [Number(name), parentOf(name)]),
  );
  const tree = [...parents.keys()].filter((each) => {
    for (let at: number | undefined = each; at; at = parents.get(at)) if (at === pid) return true;
    return false;
  });
  const kib = tree.reduce(
    (sum, each) => sum + Number(/^Pss:\s+(\d+)/m.exec(read(`${each}/smaps_rollup`))?.[1] ?? 0),
    0,
  );
  return { mib: kib / 1024, processes: tree.length };
}

function parentOf(pid: string): number {
  return Number(/\) \S (\d+)/.exec(read(`${pid}/stat`))?.[1] ?? 0);
}

function read(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch {
    return ""; // it ended meanwhile
  }
}
