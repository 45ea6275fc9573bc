import { invalid } from "../port/error.ts";
import { near, meant } from "../port/near.ts";

/** A stretch of time with one offset. Instants and offsets are whole seconds; a wall time is instant + offset. */
export interface Part {
  /** The clock changes here, from `before` to `offset`; in a span's first part the two are equal. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly before: number;
  readonly offset: number;
  /** Wall times below this one were already shown by earlier parts. */
  readonly fresh: number;
  /** Wall times from this one on will be shown again by later parts. */
  readonly final: number;
}

/** A zone's clock. */
export interface Zone {
  /** The parts that cover window `k`, which is [k, k + 1) × `windowS`, and 42 h on both sides. In order. */
  span(k: number): readonly Part[];
}

const hourS = 3600;
/** No two clock changes of any zone in tzdata are nearer than this (Freetown, 1939: 4 days). */
const probeS = 84 * hourS;
/** More than the longest repeated time, a whole day (Alaska, 1867). */
const marginS = probeS / 2;
/** Seconds in a window. A span is cut into equal probes, so that changes that undo one another are seen. */
export const windowS = 4 * probeS;
/** Where Date ends, epoch seconds. */
export const lastS = 8.64e12;
const spansKept = 512;

/** More than Intl has; an alias may be spelled in many cases, so the number is bounded. */
const zonesKept = 600;
const zones = new Map<string, Zone>();

/** The clock of a zone that `checkZone` accepted. */
export function zoneOf(name: string): Zone {
  const known = zones.get(name);
  if (known) return known;
  if (zones.size >= zonesKept) zones.clear();
  const zone = clock(new Intl.DateTimeFormat("en-US", { timeZone: name, timeZoneName: "longOffset" }));
  zones.set(name, zone);
  return zone;
}

function clock(format: Intl.DateTimeFormat): Zone {
  const spans = new Map<number, readonly Part[]>();
  return {
    span(k) {
      const known = spans.get(k);
      if (known) return known;
      if (spans.size >= spansKept) spans.clear();
      const parts = partsOf(format, k * windowS - marginS);
      spans.set(k, parts);
      return parts;
    },
  };
}

function partsOf(format: Intl.DateTimeFormat, from: number): readonly Part[] {
  const starts = [from];
  const offsets = [offsetAt(format, from)];
  for (let at = from; at < from + windowS + 2 * marginS; at += probeS) {
    const after = offsetAt(format, at + probeS);
    if (after === offsets.at(-1)) continue;
    starts.push(changeIn(format, at, at + probeS));
    offsets.push(after);
  }
  const ends = [...starts.slice(1), from + windowS + 2 * marginS];
  return starts.map((start, i) => ({
    start,
    end: ends[i]!,
    before: offsets[i - 1] ?? offsets[i]!,
    offset: offsets[i]!,
    fresh: Math.max(...offsets.slice(0, i).map((offset, j) => ends[j]! + offset)),
    final: Math.min(...offsets.slice(i + 1).map((offset, j) => starts[i + 1 + j]! + offset)),
  }));
}

/** The first second in (low, high] with the offset of `high`. Looks at whole quarters of an hour first: most are there. */
function changeIn(format: Intl.DateTimeFormat, low: number, high: number): number {
  const before = offsetAt(format, low);
  const changed = (at: number) => offsetAt(format, at) !== before;
  const quarter = bisect(low, high, 900, changed);
  return changed(quarter - 1) ? bisect(quarter - 900, quarter, 1, changed) : quarter;
}

/** The first multiple of `step` after `low` where `changed` holds, if it does at `high`; both are multiples themselves. */
function bisect(low: number, high: number, step: number, changed: (at: number) => boolean): number {
  while (high - low > step) {
    const middle = low + Math.floor((high - low) / 2 / step) * step;
    if (changed(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** Seconds to add to UTC, also for years before the first and for offsets with seconds ("GMT-00:44:30"). */
function offsetAt(format: Intl.DateTimeFormat, at: number): number {
  const text = format.format(Math.max(-lastS, Math.min(lastS, at)) * 1000);
  const [hours, minutes, seconds = 0] = text
    .slice(text.indexOf("GMT") + 4)
    .split(":")
    .map(Number);
  const size = (hours ?? 0) * hourS + (minutes ?? 0) * 60 + seconds;
  return text.includes("GMT+") ? size : -size || 0;
}

/** Old abbreviations that ICU takes though they are not IANA names: it reads "BST" as Bangladesh, "IST" as India. */
const ambiguous = new Set(
  "ACT AET AGT ART AST BET BST CAT CNT CST CTT EAT ECT IET IST JST MIT NET NST PLT PNT PRT PST SST VST".split(" "),
);
const checked = new Map([["UTC", "UTC"]]); // the default: it needs no Intl, whose first use takes 12 ms

/** The zone's name: "europe/paris" becomes "Europe/Paris", all names of UTC become "UTC". An alias stays as written
 *  (Asia/Kolkata, which some versions of Node call Asia/Calcutta), so that a stored name outlives an upgrade.
 *  @throws {InvalidInput} `path` "timezone", naming the nearest zones. */
export function checkZone(name: unknown): string {
  if (typeof name !== "string" || name === "")
    throw invalid(
      "timezone",
      `timezone must be a name like "Europe/Paris", not ${name === "" ? "empty" : name === null ? "null" : typeof name}`,
    );
  const known = checked.get(name);
  if (known) return known;
  const resolved = resolve(name);
  const same = resolved.toLowerCase() === name.toLowerCase() || resolved === "UTC" || !/^[A-Z]/.test(name);
  if (checked.size > 1000) checked.clear();
  checked.set(name, same ? resolved : name);
  return same ? resolved : name;
}

function resolve(name: string): string {
  const shown = `timezone "${name.slice(0, 64)}"`;
  if (/^(?:UTC|GMT)?[+-]\d/i.test(name))
    throw invalid(
      "timezone",
      `${shown} is a fixed offset, which knows no clock changes; name a place like "Europe/Paris", or UTC`,
    );
  if (ambiguous.has(name.toUpperCase()))
    throw invalid(
      "timezone",
      `${shown} means different zones in different places; name a place like "America/New_York"`,
    );
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    const hint = meant(alike(name)) || 'name a place like "Europe/Paris", or UTC';
    throw invalid("timezone", `${shown} is not a zone that this Node knows; ${hint}`);
  }
}

/** Zones in a city of that name, else spelled like it, else in a city that is. */
function alike(name: string): readonly string[] {
  const wanted = name.slice(0, 64).trim().replaceAll(" ", "_").toLowerCase();
  const zones = [...Intl.supportedValuesOf("timeZone"), "UTC"];
  const byName = new Map(zones.map((zone) => [zone.toLowerCase(), zone]));
  const byCity = new Map(zones.map((zone) => [cityOf(zone.toLowerCase()), zone]));
  const same = [...byName.keys()].filter((zone) => zone.endsWith(`/${cityOf(wanted)}`)).slice(0, 3);
  if (same.length > 0) return same.map((zone) => byName.get(zone)!);
  const names = near(wanted, [...byName.keys()]).map((zone) => byName.get(zone)!);
  return names.length > 0 ? names : near(cityOf(wanted), [...byCity.keys()]).map((city) => byCity.get(city)!);
}

/** The last part of a zone's name. */
function cityOf(zone: string): string {
  return zone.slice(zone.lastIndexOf("/") + 1);
}

/** A change of a zone's clock. `at` is epoch ms; the offsets from UTC are in minutes, with a fraction for old ones. */
export interface ClockChange {
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

/** Clock changes of a zone in [from, to], epoch ms, in order. Looks at most 100 years ahead of `from`.
 *  @throws {InvalidInput} as `checkZone` does. */
export function changes(timezone: string, from: number, to: number): readonly ClockChange[] {
  const zone = zoneOf(checkZone(timezone));
  const first = Math.max(from / 1000, -lastS);
  const last = Math.min(to / 1000, lastS, first + 100 * 366 * 24 * hourS);
  const found: ClockChange[] = [];
  for (let k = Math.floor(first / windowS); k * windowS <= last; k++)
    for (const { start, before, offset } of zone.span(k))
      if (before !== offset && Math.floor(start / windowS) === k && start >= first && start <= last)
        found.push({ at: start * 1000, before: before / 60, after: offset / 60 });
  return found;
}
