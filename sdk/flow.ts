/** Chains of jobs: each is fed by the ones before. A flow is a job whose handler calls `triggerAndWait`, and no more. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { AnyJob, InputOf, Job, ResultOf } from "./client/job.ts";
import type { JobOptions } from "./define/job.ts";
import { definedIn, jobOf } from "./job.ts";
import { InvalidInput } from "./port/error.ts";
import { isList } from "./port/option.ts";

/** What `flow` takes: a job without a handler. One attempt by default, for how a child ended is not tried again. */
export type FlowOptions<Id extends string, Schema extends StandardSchemaV1> = Omit<
  JobOptions<Id, Schema, undefined, [], unknown>,
  "output" | "use" | "handler"
>;

/** The structure of a flow, as plain data: jobs by their id. */
export type FlowStep =
  | { readonly kind: "then" | "map"; readonly job: string }
  | { readonly kind: "parallel"; readonly branches: Readonly<Record<string, readonly FlowStep[]>> };

/** A flow, as a job. */
export interface FlowJob<Id extends string, Schema extends StandardSchemaV1, Result> extends Job<Id, Schema, Result> {
  readonly steps: readonly FlowStep[];
}

/** What the functions of a flow get beside the result before them. */
export interface Before<Input, Results> {
  /** The flow's payload. */
  readonly input: Input;
  /** By id of the job, or name of the branch; of one that is used twice, the latest. */
  readonly results: Results;
}
/** Makes a payload; it may be left out where the job takes what comes before. Pure, for it is called again in each replay. */
export type Fed<Payload, Last, Input, Results> = [Last] extends [Payload]
  ? [feed?: (last: Last, before: Before<Input, Results>) => Payload]
  : [feed: (last: Last, before: Before<Input, Results>) => Payload];
/** Results, and one more. */
export type With<Results, Name extends PropertyKey, Result> = Omit<Results, Name> & { readonly [K in Name]: Result };

/** A job, or a chain that goes on from what came before. */
export type Branch<Last, Input, Results> =
  AnyJob | ((from: Chain<Last, Input, Results>) => { readonly steps: readonly FlowStep[] });
/** What a branch resolves with. */
export type EndOf<B> = B extends AnyJob
  ? ResultOf<B>
  : B extends (from: never) => Chain<infer Last, infer _Input, infer _Results>
    ? Last
    : never;

/** A chain of jobs so far. Each call answers a longer one, and changes nothing. */
export interface Chain<Last, Input, Results> {
  readonly steps: readonly FlowStep[];
  /** A run of a job, fed with the result before it, or with what `feed` makes of that. */
  then<J extends AnyJob>(
    job: J,
    ...feed: Fed<InputOf<J>, Last, Input, Results>
  ): Chain<ResultOf<J>, Input, With<Results, J["id"], ResultOf<J>>>;
  /** A run of a job for each item of a list, side by side; results are in order. If one does not complete, the others are canceled. */
  map<J extends AnyJob>(
    job: J,
    ...feed: Fed<readonly InputOf<J>[], Last, Input, Results>
  ): Chain<ResultOf<J>[], Input, With<Results, J["id"], ResultOf<J>[]>>;
  /** Branches side by side, each fed with the result before; the next part gets their results by name. */
  parallel<const B extends Readonly<Record<string, Branch<Last, Input, Results>>>>(
    branches: B,
  ): Chain<
    { readonly [K in keyof B]: EndOf<B[K]> },
    Input,
    Omit<Results, keyof B> & { readonly [K in keyof B]: EndOf<B[K]> }
  >;
}

/** Defines a job that is a chain of jobs. A child that does not complete fails it.
 *  @throws {InvalidInput} naming what is invalid */
export function flow<
  const Id extends string,
  Schema extends StandardSchemaV1,
  const B extends (
    start: Chain<StandardSchemaV1.InferOutput<Schema>, StandardSchemaV1.InferOutput<Schema>, unknown>,
  ) => { readonly steps: readonly FlowStep[] },
>(options: FlowOptions<Id, Schema>, chain: B): FlowJob<Id, Schema, EndOf<B>> {
  const parts = partsOf(chain as unknown as Build);
  const handler = (input: unknown): Promise<unknown> => play(parts, { last: input, input, results: {} });
  const job = jobOf({ retry: { attempts: 1 }, ...options, handler }, definedIn(flow));
  return Object.assign(job, { steps: parts.map(stepOf) }) as unknown as FlowJob<Id, Schema, EndOf<B>>; // the parts have these types
}

interface State extends Before<unknown, Readonly<Record<string, unknown>>> {
  readonly last: unknown;
}
type Feeding = ((last: unknown, before: State) => unknown) | undefined;
type Part =
  | { readonly kind: "then" | "map"; readonly job: AnyJob; readonly feed: Feeding }
  | { readonly kind: "parallel"; readonly branches: readonly (readonly [name: string, parts: readonly Part[]])[] };
type Build = (from: Links) => unknown;

class Links {
  readonly parts: readonly Part[];

  constructor(parts: readonly Part[] = []) {
    this.parts = parts;
  }

  get steps(): readonly FlowStep[] {
    return this.parts.map(stepOf);
  }

  then(job: AnyJob, feed?: Feeding): Links {
    return this.#add({ kind: "then", job: checkJob(job), feed: checkFeed(feed) });
  }

  map(job: AnyJob, feed?: Feeding): Links {
    return this.#add({ kind: "map", job: checkJob(job), feed: checkFeed(feed) });
  }

  parallel(branches: Readonly<Record<string, AnyJob | Build>>): Links {
    const parts = Object.entries(branches).map(
      ([name, branch]) => [name, partsOf(typeof branch === "function" ? branch : (from) => from.then(branch))] as const,
    );
    return this.#add({ kind: "parallel", branches: parts });
  }

  #add(part: Part): Links {
    return new Links([...this.parts, part]);
  }
}

function partsOf(build: Build): readonly Part[] {
  const chain = typeof build === "function" ? build(new Links()) : null;
  if (chain instanceof Links && chain.parts.length > 0) return chain.parts;
  throw new InvalidInput("a flow is made of no job; write flow({ id, schema }, (start) => start.then(job))");
}

function checkJob(job: AnyJob): AnyJob {
  if (typeof job === "object" && job !== null && "triggerAndWait" in job) return job;
  throw new InvalidInput("a part of a flow is not a job of defineJob; a chain is no promise, so it can't be awaited");
}

function checkFeed(feed: Feeding): Feeding {
  if (feed === undefined || typeof feed === "function") return feed;
  throw new InvalidInput("what feeds a job of a flow is not a function; write (last, { input, results }) => payload");
}

function stepOf(part: Part): FlowStep {
  if (part.kind !== "parallel") return { kind: part.kind, job: part.job.id };
  return {
    kind: "parallel",
    branches: Object.fromEntries(part.branches.map(([name, parts]) => [name, parts.map(stepOf)])),
  };
}

/** Answers the result of the last part. */
async function play(parts: readonly Part[], from: State): Promise<unknown> {
  let state = from;
  for (const part of parts) {
    const last = part.kind === "parallel" ? await branch(part.branches, state) : await call(part, state);
    const named = part.kind === "parallel" ? (last as object) : { [part.job.id]: last };
    state = { ...state, last, results: { ...state.results, ...named } };
  }
  return state.last;
}

async function branch(branches: Extract<Part, { kind: "parallel" }>["branches"], state: State): Promise<object> {
  const ends = branches.map(async ([name, parts]) => [name, await play(parts, state)] as const);
  return Object.fromEntries(await Promise.all(ends));
}

async function call(
  { kind, job, feed }: Exclude<Part, { kind: "parallel" }>,
  { last, ...before }: State,
): Promise<unknown> {
  const payload = feed ? feed(last, before as State) : last;
  if (kind === "then") return job.triggerAndWait(payload);
  if (!isList(payload))
    throw new InvalidInput(`map over job "${job.id}" was not fed with a list; give it a function that makes one`);
  const items = (payload as readonly unknown[]).map((each) => ({ payload: each }));
  const ends = await job.batchTriggerAndWait(items, { failure: "cancel" });
  return ends.map((end) => (end.ok ? end.result : undefined)); // all are: else the first failure was thrown
}
