import { whyOf } from "../../sdk/client/why.ts";
import { RunNotFound } from "../../sdk/port/error.ts";
import { formatId, parseId } from "../../sdk/port/id.ts";
import type { Command } from "../command.ts";
import { parsed } from "../config.ts";
import { withStore } from "../database.ts";
import { oneLine } from "../view/color.ts";

/** `tasker why <id>`: why a run stands where it does, in a sentence. */
export const why: Command = {
  usage: "why <id>",
  about: "Tell why a run has not started, has not gone on, or ended as it did",
  examples: ["tasker why run_2n9c", "tasker why run_2n9c --json"],
  run: async ({ args, out, settings }) => {
    const id = parsed("run id", () => parseId(args[0]!));
    const answer = await withStore(await settings(), (store) => whyOf(store, id));
    if (!answer) throw new RunNotFound(formatId(id));
    out.answer(answer, () => oneLine(answer.text));
  },
};
