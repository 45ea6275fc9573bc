import { InvalidInput, invalid } from "./error.ts";
import { shown } from "./option.ts";
import type { ScheduleName } from "./target.ts";
import { isClean } from "./text.ts";

/** A run's number as people see it: `run_` and the number in base 36. */
export function formatId(id: number): string {
  return `run_${id.toString(36)}`;
}

/** The number behind `run_…`.
 *  @throws {InvalidInput} if the text is not a run id. */
export function parseId(text: string): number {
  const isText = typeof text === "string" && /^run_[0-9a-z]{1,11}$/.test(text);
  const id = isText ? Number.parseInt(text.slice(4), 36) : Number.NaN;
  if (!Number.isSafeInteger(id)) throw new InvalidInput(`"${shown(text)}" is not a run id; ids look like "run_2n9c"`);
  return id;
}

/** A schedule as people see it: `job@key`, or the job alone where the key is "". */
export function scheduleId({ job, key }: ScheduleName): string {
  return key === "" ? job : `${job}@${key}`;
}

/** Job and key behind `job@key`: a job's id has no "@".
 *  @throws {InvalidInput} if there is no job before the "@", or NUL or a lone surrogate after it */
export function parseScheduleId(text: string): ScheduleName {
  const [job, ...rest] = text.split("@");
  if (job && /^[A-Za-z0-9_.:/-]{1,128}$/.test(job) && isClean(text)) return { job, key: rest.join("@") };
  throw invalid("id", `"${text.slice(0, 80)}" is not the id of a schedule; ids look like "remind@user:7"`);
}

/** What idempotency keys of ticks begin with; an application's can't. */
export const tickMark = "$tick:";

/** What idempotency keys of items of job files begin with. */
export const fileMark = "$file:";

/** The idempotency key of the run that a schedule makes for a tick: what keeps it at one. */
export function tickKey(key: string, tickMs: number): string {
  return `${tickMark}${key}@${new Date(tickMs).toISOString()}`;
}

/** A token of a run, as people and other systems see it: the run's number and a secret. */
export function formatToken(run: number, secret: string): string {
  return `tok_${run.toString(36)}.${secret}`;
}

/** The run of a token, and the name under which its answer is sent.
 *  @throws {InvalidInput} if the text is not a token */
export function parseToken(text: string): { readonly run: number; readonly name: string } {
  const found = typeof text === "string" ? /^tok_([0-9a-z]{1,11})\.([A-Za-z0-9_-]{22})$/.exec(text) : null;
  if (!found) throw new InvalidInput(`"${shown(text)}" is not a token; pass the id of what ctx.token() made`);
  return { run: parseId(`run_${found[1]}`), name: tokenName(found[2]!) };
}

/** Whether that is the name of an answer to a token: it has the secret, so it is for no log. */
export function isTokenName(name: string): boolean {
  return name.startsWith("token:");
}

/** Under which name the answer to a token is sent. */
export function tokenName(secret: string): string {
  return `token:${secret}`;
}
