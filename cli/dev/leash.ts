/** Runs a command that must not outlive its starter: `leash.js <file> [args]` runs a Node program in a process group of its own, and ends
 *  the group when the connection to the starter ends, however that went. */
import { spawn } from "node:child_process";

const child = spawn(process.execPath, process.argv.slice(2), {
  stdio: ["ignore", "inherit", "inherit"],
  detached: true,
});
function end(): void {
  try {
    process.kill(-child.pid!, "SIGKILL");
  } catch {
    // gone already
  }
  process.exit(0);
}
child.on("exit", (code) => process.exit(code ?? 1));
child.on("error", () => process.exit(1));
process.on("disconnect", end);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
