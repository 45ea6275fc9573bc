import type { JobSpec } from "../../sdk/define/spec.ts";
import { historyOf } from "../../sdk/client/history.ts";
import type { RunRecord, Target } from "../../sdk/port/target.ts";
import { saidOf } from "../../sdk/port/text.ts";
import type { Pending } from "./report.ts";

/** What new code makes of a journal: it would park the run, or it can't be told, and why. */
export interface Verdict {
  readonly parks: boolean;
  readonly why: string;
}

/** Journals of one job that are replayed, of its newest runs. Each takes about 10 ms. */
export const mostReplays = 500;

/** Replays journals of runs that wait, without their steps and services. */
export class Journals {
  readonly #flow: Target["flow"];
  readonly #most: number;
  readonly #seen = new Map<string, number>();
  readonly #counts = { checked: 0, broken: 0, left: 0 };

  constructor(flow: Target["flow"], most = mostReplays) {
    this.#flow = flow;
    this.#most = most;
  }

  get counts(): Pending["journals"] {
    return { ...this.#counts };
  }

  /** Null: the code goes on where the run waits, or the run is not looked at.
   *  @throws {StoreUnavailable} {StoreUnusable} */
  async judge(run: RunRecord, spec: JobSpec): Promise<Verdict | null> {
    if (run.status !== "waiting" || run.reason === "parked") return null;
    const seen = this.#seen.get(run.job) ?? 0;
    this.#seen.set(run.job, seen + 1);
    const isLeft = seen >= this.#most;
    this.#counts[isLeft ? "left" : "checked"]++;
    if (isLeft) return null;
    const history = historyOf(run, await this.#flow.read(run.id));
    const { replay } = await import("../../runtime/testing/replay.ts"); // an engine, which few checks need
    try {
      const { diverged, error } = await replay(history, spec, { context: {} });
      if (!diverged) return error && { parks: false, why: saidOf(error) };
      this.#counts.broken++;
      return { parks: true, why: withoutRun(diverged.message) };
    } catch (error) {
      return { parks: false, why: saidOf(error) };
    }
  }
}

/** Alike for all runs that diverge alike: without the run, and what to do about it once it is parked. */
function withoutRun(message: string): string {
  return message.replace(/^run "\w+" can't be replayed: /, "").replace(/; mend the journal.*$/s, "");
}
