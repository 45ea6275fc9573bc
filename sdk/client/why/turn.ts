/** Why a pending run has not started. */
import { formatId } from "../../port/id.ts";
import { homeOf, pinOf } from "../../port/pin.ts";
import type { AttemptRecord, NodeFact } from "../../port/target.ts";
import type { Known, Said } from "./because.ts";
import { counted, errorText, ids, later, nodeNamed, placeOf, quoted, someOf, span, versionText } from "./word.ts";

/** More than this many runs that go first are not counted. */
const mostAhead = 10_000;

export function pending(known: Known): Said {
  return known.run.dueAt > known.at ? notYet(known) : (blocked(known) ?? inTurn(known));
}

/** After these another attempt is due later. */
const puttingOff: ReadonlySet<AttemptRecord["outcome"]> = new Set(["error", "timeout", "snoozed"]);

function notYet(known: Known): Said {
  const { at, run, latest, spent } = known;
  const { dueAt } = run;
  const then = blocked(known);
  const also = then?.because ?? null;
  const but = then ? `; even then it would wait: ${then.text}` : "";
  const tried = latest?.n === run.attempt && puttingOff.has(latest.outcome) ? latest : null;
  if (!tried) {
    const next = but || `; start it now with: tasker edit ${formatId(run.id)} --now`;
    return { text: `it is due ${later(at, dueAt)}${next}`, because: { code: "delayed", dueAt, also } };
  }
  const attempts = run.options?.retry?.attempts ?? known.attempts;
  const [attempt, error] = [run.attempt + 1, tried.error];
  const facts = { dueAt, attempt, failed: spent, attempts, error, also };
  if (tried.outcome === "snoozed")
    return {
      text: `its handler put it off: it goes on ${later(at, dueAt)}${but}`,
      because: { code: "snoozed", ...facts },
    };
  const of =
    attempts === null ? "" : run.attempt === spent ? ` of ${attempts}` : ` (${spent} of ${attempts} have failed)`;
  const after = error ? `, after this error: ${errorText(error)}` : "";
  return {
    text: `attempt ${attempt}${of} starts ${later(at, dueAt)}${after}${but}`,
    because: { code: "retrying", ...facts },
  };
}

/** What keeps a run waiting, however many slots are free; null: nothing does. */
function blocked({ at, run, pausedAt, nodes, seen }: Known): Said | null {
  const queue = homeOf(run.queue);
  if (pausedAt)
    return {
      text: `queue ${quoted(queue)} has been paused for ${span(pausedAt, at)}, since ${pausedAt.toISOString()}; let it go on with: tasker queues resume ${shellWord(queue)}`,
      because: { code: "paused", queue, pausedAt },
    };
  const live = nodes.filter(({ alive }) => alive);
  const serving = live.filter(({ serves }) => serves);
  if (serving.length === 0) return unserved({ at, run, seen }, live);
  if (serving.some(({ draining }) => !draining)) return null;
  const names = someOf(serving.map(({ name }) => quoted(name)));
  return {
    text: `only ${serving.length === 1 ? "node" : "nodes"} ${names} ${serving.length === 1 ? "has" : "have"} job ${quoted(run.job)}, and ${serving.length === 1 ? "it is" : "they are"} shutting down; start another process that has it`,
    because: { code: "draining", nodes: serving.map(placeOf) },
  };
}

function unserved({ at, run, seen }: Pick<Known, "at" | "run" | "seen">, live: readonly NodeFact[]): Said {
  const { job } = run;
  const version = pinOf(run.queue);
  const what = `job ${quoted(job)}${version === null ? "" : ` in version ${quoted(version)}, to which the run is pinned`}`;
  const nodes = live.map(({ name: node, version }) => ({ node, version }));
  const last = seen
    ? `it was last seen on ${nodeNamed(seen.node)}${versionText(seen.version)} ${span(seen.at, at)} ago`
    : "no node has ever had it";
  const versions = [...new Set(live.map(({ version }) => version))].filter((version) => versionText(version) !== "");
  const code = versions.length > 0 ? ` (version ${someOf(versions.map(quoted))})` : "";
  const others = live.length === 1 ? "one node that lives does" : `${live.length} nodes that live do`;
  const text =
    live.length === 0
      ? `no node lives that could run ${what}: ${last}; start one with "tasker start" or "tasker dev"`
      : `no live node has ${what}: ${last}, and the ${others} not have it${code}; start a process that has it`;
  return { text, because: { code: "unserved", job, version, seen, nodes } };
}

/** Nothing is against it but that its turn has not come. */
function inTurn(known: Known): Said {
  const { run, ahead } = known;
  const queue = homeOf(run.queue);
  const serving = known.nodes.filter(({ alive, serves, draining }) => alive && serves && !draining);
  const free = serving.filter((node) => boundOf(node) === null);
  const nodes = serving.map(placeOf);
  if (free.length === 0) return full(known, serving);
  const names = someOf(free.map(({ name }) => quoted(name)));
  const what = free.length === 1 ? "node" : "nodes";
  if (run.crashes > 0 && free.every(({ crashed }) => crashed > 0))
    return {
      text: `it was lost with its process ${times(run.crashes)}, so a node starts it only while it has no other run that crashed, and ${what} ${names} ${free.length === 1 ? "has" : "have"} one`,
      because: { code: "alone", crashes: run.crashes, nodes },
    };
  if (ahead > 0)
    return {
      text: `it waits for its turn: ${first(ahead, queue)}`,
      because: { code: "behind", queue, ahead },
    };
  return {
    text: `it is due, and ${what} ${names} ${free.length === 1 ? "has" : "have"} room: it starts with the next claim, within a poll`,
    because: { code: "next", nodes },
  };
}

/** What a node has no room in for one more run: its places of the queue, or its slots. */
function boundOf({ limit, ofQueue, leased, slots }: NodeFact): "queue" | "slots" | null {
  if (limit !== null && ofQueue >= limit) return "queue";
  return leased >= slots ? "slots" : null;
}

function full({ run, ahead }: Known, serving: readonly NodeFact[]): Said {
  const bounds = new Set(serving.map(boundOf));
  const isQueue = bounds.size === 1 && bounds.has("queue");
  const sum = (of: (node: NodeFact) => number): number => serving.reduce((total, node) => total + of(node), 0);
  const places = sum((node) => (boundOf(node) === "queue" ? node.limit! : node.slots));
  const taken = sum((node) => (boundOf(node) === "queue" ? node.ofQueue : node.leased));
  const what = bounds.size > 1 ? "places" : isQueue ? "places" : "slots";
  const all = places === 1 ? `the one ${what.slice(0, -1)}` : `all ${places.toLocaleString("en-US")} ${what}`;
  const ofQueue = isQueue ? ` of queue ${quoted(homeOf(run.queue))}` : "";
  const where =
    serving.length === 1 ? nodeNamed(serving[0]!.name) : `the ${serving.length} nodes that have job ${quoted(run.job)}`;
  const runs = ids(serving.flatMap((node) => (isQueue ? node.runs.slice(0, node.ofQueue) : node.runs)));
  const by = runs.length > 0 ? `, by ${someOf(runs, taken)}` : "";
  const behind = ahead > 0 ? `; ${first(ahead, homeOf(run.queue))}` : "";
  return {
    text: `${all}${ofQueue} on ${where} ${places === 1 ? "is" : "are"} taken${by}${behind}`,
    because: { code: "full", nodes: serving.map(placeOf), runs, ahead },
  };
}

function first(ahead: number, queue: string): string {
  const count = ahead > mostAhead ? `more than ${counted(mostAhead, "run")}` : counted(ahead, "run");
  return `${count} of queue ${quoted(queue)} that ${ahead === 1 ? "is" : "are"} due earlier or ${ahead === 1 ? "has" : "have"} a higher priority ${ahead === 1 ? "goes" : "go"} first`;
}

function times(count: number): string {
  return count === 1 ? "once" : count === 2 ? "twice" : `${count} times`;
}

/** A queue as it is written on the command line: that of hooks is `$hooks`. */
function shellWord(queue: string): string {
  return queue.startsWith("$") ? `'${queue}'` : queue;
}
