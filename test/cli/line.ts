import { Writable } from "node:stream";
import { commands } from "../../cli/commands.ts";
import { settings } from "../../cli/config.ts";
import { describe, document, exitCode } from "../../cli/error.ts";
import { output } from "../../cli/view/output.ts";
import { parse } from "../../cli/program.ts";

/** What a command line printed and answered. */
export interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `tasker <argv>` in this process, its configuration read in `cwd` and from `env` alone. Other paths are relative to the current
 *  folder, so give whole ones. */
export async function tasker(argv: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<Answer> {
  const [out, err] = [sink(), sink()];
  try {
    const line = parse(argv, commands, "1");
    if (line.do !== "run") throw new Error(`expected a command to run, got ${line.do}`);
    const { command, args, given } = line;
    const code = await command.run({
      ...{ args, given, out: output(given.on("json"), { out: out.stream, err: err.stream }) },
      settings: () => settings(given, env, cwd),
    });
    return { code: code ?? 0, out: out.text(), err: err.text() };
  } catch (error) {
    return { code: exitCode(error), out: JSON.stringify(document(error)), err: describe(error, false) };
  }
}

function sink(): { readonly stream: Writable; text(): string } {
  let text = "";
  const write = (chunk: Buffer, _encoding: string, done: () => void): void => {
    text += chunk.toString();
    done();
  };
  return { stream: new Writable({ write }), text: () => text };
}
