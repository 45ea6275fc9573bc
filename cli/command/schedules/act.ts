/** What pause, resume, remove and trigger have in common: schedules by id, and what became of each. */
import { InvalidInput, ScheduleNotFound } from "../../../sdk/port/error.ts";
import { schedulesOf } from "../../../sdk/client/schedules.ts";
import { oneLine } from "../../view/color.ts";
import type { Command } from "../../command.ts";
import { withStore } from "../../database.ts";
import { exit } from "../../error.ts";
import { when } from "../../view/show.ts";
import { idsOf, likely, quoted, type Verbs } from "./name.ts";

/** What became of an act on one schedule: for people in `said`, and more for programs. */
interface Done {
  readonly said: string;
  readonly more?: { readonly nextAt: Date | null } | { readonly run: string };
  /** What people should know besides. */
  readonly note?: string;
}
interface Acted {
  readonly id: string;
  readonly done: "done" | "refused" | "missing";
  readonly said: string;
  readonly more?: Done["more"];
  readonly note?: string;
}

/** `tasker schedules pause`: no more runs until it is resumed. */
export const pause = command(
  "pause",
  "Make no more runs of schedules until they are resumed; runs go on",
  async (id, schedules) => {
    await schedules.pause(id);
    return { said: `paused; let it go on with: tasker schedules resume ${quoted(id)}`, more: { nextAt: null } };
  },
);

/** `tasker schedules resume`: goes on with the next tick from now. */
export const resume = command(
  "resume",
  "Let paused schedules go on with the next tick from now",
  async (id, schedules) => {
    const { nextAt } = await schedules.resume(id);
    const next = nextAt ? `the next run is due ${when(nextAt, new Date())}` : "it has ended, so no run is to come";
    return { said: `resumed; ${next}`, more: { nextAt } };
  },
);

/** `tasker schedules remove`: deletes schedules that were made at run time. */
export const remove = command(
  "remove",
  "Delete schedules that no code declares; their runs stay",
  async (id, schedules) => {
    if (await schedules.remove(id)) return { said: "removed; its runs stay" };
    throw new ScheduleNotFound(id);
  },
);

/** `tasker schedules trigger`: a run now, beside the ticks. */
export const trigger = command("trigger", "Add a run of schedules now, beside their ticks", async (id, schedules) => {
  const run = await schedules.trigger(id);
  const schedule = await schedules.get(id);
  return {
    said: `triggered; look at it with: tasker run ${run.id}`,
    more: { run: run.id },
    ...(schedule?.served === false && { note: `no live node has job "${schedule.job}"; ${run.id} waits for one` }),
  };
});

type Act = (id: string, schedules: Verbs) => Promise<Done>;

function command(verb: string, about: string, one: Act): Command {
  return {
    usage: `schedules ${verb} <...ids>`,
    about,
    examples: [`tasker schedules ${verb} remind@user:7`],
    run: async ({ args, out, settings }) => {
      const ids = idsOf(args);
      const acts = await withStore(await settings(), async (store) => {
        const schedules = schedulesOf(async () => store);
        const answers: Acted[] = [];
        for (const id of ids) answers.push(await acted(id, one, schedules));
        return answers;
      });
      const items = acts.map(({ id, done, said, more }) => ({
        id,
        done,
        ...(done === "done" ? more : { message: said }),
      }));
      out.answer({ items, next: null }, () =>
        acts.map(({ id, said }) => `${out.colors.cyan(oneLine(id))}  ${oneLine(said)}`).join("\n"),
      );
      for (const { note } of acts) if (note !== undefined) out.note(oneLine(note));
      return acts.every(({ done }) => done === "done") ? exit.ok : exit.failed;
    },
  };
}

async function acted(id: string, one: Act, schedules: Verbs): Promise<Acted> {
  try {
    return { id, done: "done", ...(await one(id, schedules)) };
  } catch (error) {
    if (error instanceof ScheduleNotFound)
      return { id, done: "missing", said: `does not exist${await likely(id, schedules)}` };
    if (error instanceof InvalidInput) return { id, done: "refused", said: `refused: ${error.message}` };
    throw error;
  }
}
