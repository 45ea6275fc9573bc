import { pino, type DestinationStream } from "pino";
import { colors, oneLine, plain, safe, type Colors } from "./color.ts";
import type { Settings } from "../config.ts";
import { isAuthors } from "../error.ts";
import { fields } from "./field.ts";
import { redact } from "./redact.ts";

/** The log of a process that runs jobs: pino's JSON, a line an entry, or lines for people on a terminal. Secrets of connection
 *  strings are taken out of both. Writes to stdout by default. */
export function logger(
  settings: Pick<Settings, "logLevel" | "logFormat">,
  out: NodeJS.WritableStream & { readonly isTTY?: boolean } = process.stdout,
): pino.Logger {
  const pretty = (settings.logFormat ?? (out.isTTY ? "pretty" : "json")) === "pretty";
  const paint = colors(out);
  const to: DestinationStream = {
    write: (line) => void out.write(safe(redact(pretty ? prettify(line, paint) : line))),
  };
  const err = (value: unknown): unknown => (value instanceof Error ? pino.stdSerializers.err(value) : value);
  const formatters = { level: (label: string) => ({ level: label }) };
  return pino(
    {
      level: settings.logLevel,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters,
      serializers: { err },
    },
    to,
  );
}

const hiddenFields = [
  ...["level", "time", "pid", "hostname", "msg", "err"],
  ...["run", "job", "attempt", "duration", "hook"],
];

/** A line of pino's JSON as a line for people: `12:00:01.123  Run completed  run_2f  remind  attempt 1  2.1s`. What a handler
 *  logged is indented; an error's stack follows, in its first frames. A line that is not JSON stays as it is. */
export function prettify(line: string, paint: Colors): string {
  const entry = parse(line);
  if (!entry) return line;
  const message = oneLine(String(entry.msg ?? ""));
  const start = `${paint.dim(clock(entry.time))}  `;
  const text = tint(entry, paint)(message);
  return `${start}${[ofHandler(entry) ? `  ${paint.dim("|")} ${text}` : text, ...about(entry, paint), ...rest(entry, paint)].join("  ")}\n${failure(entry, paint)}`;
}

type Entry = Readonly<Record<string, unknown>>;

function parse(line: string): Entry | null {
  try {
    return JSON.parse(line) as Entry;
  } catch {
    return null; // something else wrote to the stream
  }
}

/** Whether a handler wrote the line, with `ctx.log`: it names a run, and is not one of the engine's own lines about runs. */
function ofHandler(entry: Entry): boolean {
  return typeof entry.run === "string" && !/^(Run|Lease|Hook|Result|Schedule) /.test(String(entry.msg));
}

function clock(time: unknown): string {
  const at = new Date(time as string);
  const two = (part: number, width = 2): string => String(part).padStart(width, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${two(at.getMilliseconds(), 3)}`;
}

function tint(entry: Entry, paint: Colors): (text: string) => string {
  if (entry.level === "error" || entry.level === "fatal") return paint.red;
  if (entry.level === "warn") return paint.yellow;
  if (entry.level === "debug") return paint.dim;
  return entry.msg === "Run completed" ? paint.green : (text) => text;
}

function about(entry: Entry, paint: Colors): readonly string[] {
  const parts: string[] = [];
  if (entry.run) parts.push(paint.cyan(oneLine(String(entry.run))));
  const hook = hookOf(entry.hook);
  if (!ofHandler(entry)) {
    if (entry.job) parts.push(paint.bold(oneLine(String(entry.job))));
    if (hook) parts.push(hook);
    if (entry.attempt) parts.push(`attempt ${Number(entry.attempt)}`);
    if (entry.duration) parts.push(oneLine(String(entry.duration)));
  } else if (hook) parts.push(hook);
  return parts;
}

/** `(hook success of run_2f)` for a line of a run that executes a hook. */
function hookOf(hook: unknown): string | null {
  const { kind, of } = (hook ?? {}) as { readonly kind?: unknown; readonly of?: unknown };
  return typeof kind === "string" && typeof of === "string" ? oneLine(`(hook ${kind} of ${of})`) : null;
}

function rest(entry: Entry, paint: Colors): readonly string[] {
  const shown = Object.entries(entry).filter(
    ([key, value]) => !hiddenFields.includes(key) && value !== null && value !== undefined,
  );
  return shown.map(([key, value]) => {
    const label = `${oneLine(key)}=`;
    if (key === "data") return fields(value, label, paint.dim);
    return `${paint.dim(label)}${oneLine(typeof value === "string" ? value : JSON.stringify(value))}`;
  });
}

function failure(entry: Entry, paint: Colors): string {
  const err = entry.err as { type?: string; message?: string; stack?: string } | undefined | null;
  if (!err) return "";
  const text = err.stack ?? `${err.type ?? "Error"}: ${err.message ?? ""}`;
  const lines = plain(text).split("\n").filter(isAuthors);
  return lines
    .slice(0, 5)
    .map((each) => `              ${paint.dim(each.trimEnd())}\n`)
    .join("");
}
