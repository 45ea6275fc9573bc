/** How a handler gets what it depends on: services, opened once a process, and middleware around each attempt. */
import type { Context } from "./context.ts";
import { InvalidInput, invalid } from "../port/error.ts";
import { shown } from "../port/option.ts";
import type { MiddlewareSpec, ServiceSpec } from "./spec.ts";

declare const given: unique symbol;

/** The names that every context has; `use` can't give them a second meaning. */
const fields: Readonly<Record<keyof Context, true>> = {
  run: true,
  schedule: true,
  attempt: true,
  signal: true,
  log: true,
  progress: true,
  idempotencyKey: true,
  fencingToken: true,
  skip: true,
  snooze: true,
  step: true,
  sleep: true,
  sleepUntil: true,
  waitFor: true,
  token: true,
  tx: true,
  version: true,
};

/** What a compiler prints where `use` would replace a field of the context. */
export type Taken = "is a field of every context: choose another name";
/** A service's name, or a complaint that a compiler prints. */
export type FreeName<Name extends string> = Name extends keyof Context ? `"${Name}" ${Taken}` : Name;

/** Opened once a runtime, on first use: `ctx[Name]` is its value. */
export interface Service<Name extends string = string, Value = unknown> extends ServiceSpec {
  readonly name: Name;
  /** Never there at run time; it carries the type. */
  readonly [given]?: { readonly [K in Name]: Value };
}

/** Wraps each attempt and adds `Extra` to the context. */
export interface Middleware<Extra extends object = object> extends MiddlewareSpec {
  /** Never there at run time; it carries the type. */
  readonly [given]?: Extra;
}
export type Extension = Service | Middleware;

/** What the members of `use` add to the context, all together. */
export type Extras<Use extends readonly unknown[]> = Use extends readonly [infer First, ...infer Rest]
  ? (First extends { readonly [given]?: infer Extra } ? NonNullable<Extra> : unknown) & Extras<Rest>
  : unknown;

/** A handler's context: the fields that all have, and those of its `use`. */
export type ContextOf<Use extends readonly unknown[]> = Context & Extras<Use>;

/** Defines something that handlers share, such as a database pool. It is opened at most once a runtime, when the first
 *  attempt needs it, and closed when the runtime stops. A failed `open` fails that attempt; the next one tries again.
 *  @throws {InvalidInput} if the name is not an identifier, or is one of the context's own fields. */
export function defineService<const Name extends string, Value>(options: {
  readonly name: FreeName<Name>;
  readonly open: () => Value | Promise<Value>;
  readonly close?: ((value: Value) => unknown) | undefined;
}): Service<Name, Value> {
  const { open, close } = options;
  const name = options.name as string as Name; // refused below if it is not free
  if (
    typeof name !== "string" ||
    !/^[A-Za-z_$][\w$]{0,63}$/.test(name) ||
    name === "constructor" ||
    name === "__proto__"
  )
    throw invalid("name", `service name "${shown(name)}" can't be a field of ctx; use an identifier such as "db"`);
  refuseTaken([name]);
  if (typeof open !== "function")
    throw invalid("open", `service "${name}" has no open(); give a function that makes its value`);
  return {
    kind: "service",
    name,
    open,
    close: (value) => close?.(value as Value), // the runtime closes what this very service's open() made
  };
}

/** What `next` resolves with: the outcome of what comes after. Only `next` makes one, so a middleware can't forget to
 *  call it. */
export interface Passed<Extra extends object> {
  /** Never there at run time; it carries the type. */
  readonly [given]: Extra;
}
/** Calls what comes after, with `extra` added to its context. */
export type Next = <Extra extends { readonly [K in keyof Context]?: Taken } & object = object>(
  extra?: Extra,
) => Promise<Passed<Extra>>;

/** Defines code around each attempt: what it passes to `next` is added to the handler's context, typed.
 *  Return (or await, then return) what `next` answers; throw to fail the attempt, or `ctx.skip` to end the run.
 *  @throws {InvalidInput} from `next` if an extra has the name of one of the context's own fields. */
export function defineMiddleware<Extra extends object>(
  run: (args: { readonly payload: unknown; readonly ctx: Context }, next: Next) => Promise<Passed<Extra>>,
): Middleware<Extra> {
  if (typeof run !== "function")
    throw new InvalidInput(
      "middleware is not a function; write defineMiddleware(async ({ ctx }, next) => next({ … }))",
    );
  return {
    kind: "middleware",
    run: (args, next) => {
      const checked = (extra?: object): Promise<unknown> => {
        refuseTaken(Object.keys(extra ?? {}));
        return next(extra);
      };
      return run(args, checked as Next); // `Passed` exists in types alone
    },
  };
}

/** @throws {InvalidInput} if one of the names is a field of every context. */
export function refuseTaken(names: readonly string[]): void {
  const taken = names.find((name) => Object.hasOwn(fields, name));
  if (taken !== undefined)
    throw invalid(taken, `"${taken}" is a field of every context; choose another name for what \`use\` adds`);
}
