/** npm and npx run a command under a shell that does not pass signals on: SIGTERM ends npm and the shell, and leaves the command behind. */

const everyMs = 500;
const parent = process.ppid; // as early as can be: it may end while this process still starts

/** Calls once when the process that started this one has ended, if `asks` says that it is to be watched; answers how to stop that. */
export function watchParent(asks: (env: NodeJS.ProcessEnv) => boolean, ended: () => void): () => void {
  if (!asks(process.env)) return () => undefined;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    ended();
  }, everyMs).unref();
  return () => clearInterval(timer);
}

/** Whether a script of package.json, or npx, started this process or one above it. */
export function byScript({ npm_lifecycle_event: event }: NodeJS.ProcessEnv): boolean {
  return event !== undefined;
}

/** Whether npx started this very command. A script may leave a worker behind on purpose, and what it starts inherits its variables;
 *  npx waits for its command. */
export function byNpx({ npm_lifecycle_event: event, npm_lifecycle_script: script = "" }: NodeJS.ProcessEnv): boolean {
  return event === "npx" && /^['"]?tasker['"]?(?: [^&|;]*)?$/.test(script);
}
