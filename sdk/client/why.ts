/** Why a run has not started, has not gone on, or ended as it did. */
import { setTimeout as pause } from "node:timers/promises";
import { formatId } from "../port/id.ts";
import { isFinal, type Status } from "../port/status.ts";
import type { Facts, Find, Target } from "../port/target.ts";
import { childrenOf, timelineOf } from "./timeline.ts";
import type { Because, Known, Said } from "./why/because.ts";
import { ended } from "./why/end.ts";
import { leased } from "./why/lease.ts";
import { pending } from "./why/turn.ts";
import { waiting } from "./why/wait.ts";
import { sentence } from "./why/word.ts";

/** Why a run stands where it does. */
export interface Why {
  /** `run_…` */
  readonly run: string;
  readonly status: Status;
  /** When this was so, by the store's clock. */
  readonly at: Date;
  /** A sentence, with what to do next where something can be done. */
  readonly text: string;
  /** The facts behind it. */
  readonly because: Because;
}

/** Decides, from all that is known. */
export function why(known: Known): Why {
  const { at, run } = known;
  const { text, because } = said(known);
  return { run: formatId(run.id), status: run.status, at, text: sentence(text), because };
}

function said(known: Known): Said {
  const { status } = known.run;
  if (isFinal(status)) return ended(known, status);
  if (status === "pending") return pending(known);
  return status === "waiting" ? waiting(known) : leased(known);
}

/** Asks a store why a run stands where it does; null: there is no such run. */
export async function whyOf({ find, flow }: Target, id: number): Promise<Why | null> {
  const facts = await settledFacts(find, id);
  if (!facts) return null;
  const { run, at } = facts;
  const isWaiting = run.status === "waiting";
  const [attempts, entries] = await Promise.all([
    isFinal(run.status) ? null : find.attempts({ run: id }, { limit: 1 }),
    isWaiting ? flow.read(id) : [],
  ]);
  const stages = isWaiting ? timelineOf(run, entries, await childrenOf(find, entries), at) : [];
  const open = stages.filter(({ status }) => status === "waiting" || status === "retrying");
  return why({ ...facts, latest: attempts?.items[0] ?? null, open });
}

/** How long a node is waited for that was asked whether a run has started; ms. */
const patienceMs = 300;

/** The facts, once the node of a leased run that is due has said whether that has started. */
async function settledFacts(find: Find, id: number): Promise<Facts | null> {
  const deadline = performance.now() + patienceMs;
  for (let betweenMs = 10; ; betweenMs *= 2) {
    const facts = await find.facts(id);
    const isUnclear = facts?.run.status === "leased" && facts.run.startedAt === null && facts.run.dueAt <= facts.at;
    if (!isUnclear || performance.now() + betweenMs > deadline) return facts;
    await pause(betweenMs);
  }
}
