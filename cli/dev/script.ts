import { FileBroken, BadUsage } from "../error.ts";
import { load } from "../module.ts";
import { saidOf } from "../../sdk/port/text.ts";

/** The file of `--run`, and whether to stop after it. */
export interface Script {
  readonly file: string;
  readonly once: boolean;
}

/** Calls the default export of a script, and waits until all runs that it returned are over, failed ones included. Answers how many
 *  there were.
 *  @throws {BadUsage} if there is no such export. @throws {FileBroken} if it throws */
export async function play(file: string): Promise<number> {
  const handles = [await called(file)].flat().filter(isHandle);
  await Promise.all(
    handles.map((run) =>
      run.result().catch((error: unknown) => {
        if (!["RUN_FAILED", "RUN_CANCELED"].includes(String((error as { code?: unknown }).code))) throw error; // these are over, too
      }),
    ),
  );
  return handles.length;
}

async function called(file: string): Promise<unknown> {
  try {
    const { default: script } = await load(file);
    if (typeof script === "function") return await (script as () => unknown)();
  } catch (cause) {
    throw new FileBroken(`"${file}" failed: ${saidOf(cause)}`, { cause });
  }
  throw new BadUsage(
    `--run: "${file}" has no default export that is a function; write: export default async () => [await hello.trigger({ … })]`,
  );
}

interface Handle {
  readonly id: string;
  result(): Promise<unknown>;
}

function isHandle(value: unknown): value is Handle {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as Partial<Handle>).id === "string" &&
    typeof (value as Partial<Handle>).result === "function"
  );
}
