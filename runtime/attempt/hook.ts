import { decode } from "../../sdk/port/codec.ts";
import type { Context } from "../../sdk/define/context.ts";
import { formatId } from "../../sdk/port/id.ts";
import { check } from "../../sdk/define/schema.ts";
import { Skip } from "../../sdk/define/signal.ts";
import type { Ended, HookSpecs, JobSpec } from "../../sdk/define/spec.ts";
import type { Find, HookKind, RunRecord, RunOptions } from "../../sdk/port/target.ts";

/** A run with `options.hook` executes a hook of its job in place of the handler. */
type HookCall = NonNullable<RunOptions["hook"]>;

const fields = { success: "onSuccess", failure: "onFailure", cancel: "onCancel" } as const satisfies Record<
  HookKind,
  keyof HookSpecs
>;

/** The payload that a hook is given: parsed, or as it was triggered where the schema refuses it, for that may be why the run failed. */
export async function hookPayload(spec: JobSpec, input: unknown): Promise<unknown> {
  try {
    const checked = await check(spec.schema, input);
    return checked.issues ? input : checked.value;
  } catch {
    return input;
  }
}

/** Calls the hook.
 *  @throws {Skip} if this code has no such hook, or the run that ended was purged */
export async function callHook(
  spec: JobSpec,
  { kind, of }: HookCall,
  payload: unknown,
  ctx: Context,
  find: Find,
): Promise<void> {
  const hook = spec.hooks[fields[kind]];
  if (!hook) throw new Skip(`job "${spec.id}" has no ${fields[kind]} any more`);
  const record = await find.get(of);
  if (!record) throw new Skip(`run "${formatId(of)}" was purged`);
  await hook(payload, ended(record), ctx);
}

function ended({ id, job, reason, result, error }: RunRecord): Ended {
  return { run: formatId(id), job, reason, result: result && decode(result), error };
}
