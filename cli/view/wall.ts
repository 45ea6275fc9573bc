/** Instants as a clock on the wall of a zone shows them. */
import { windowS, zoneOf } from "../../sdk/cron/zone.ts";

/** What the clock shows, and its offset from UTC. */
export interface Wall {
  readonly day: string;
  readonly date: string;
  /** With milliseconds only where there are any. */
  readonly time: string;
  /** `+02:00`; with seconds only where there are any. */
  readonly offset: string;
}

/** The clock of a zone at an instant. `zone` is an IANA name that was checked. */
export function wallOf(at: Date, zone: string): Wall {
  const offset = offsetAt(at, zone);
  const shown = new Date(at.getTime() + offset * 1000);
  const [date = "", rest = ""] = shown.toISOString().split("T");
  return {
    day: days[shown.getUTCDay()]!,
    date,
    time: rest.replace(/(?:\.000)?Z$/, ""),
    offset: offsetText(offset),
  };
}

/** For people: `Sun 2026-10-25 02:30:00 +02:00`. */
export function wallText(at: Date, zone: string): string {
  const { day, date, time, offset } = wallOf(at, zone);
  return `${day} ${date} ${time} ${offset}`;
}

/** For programs: `2026-10-25T02:30:00+02:00`. */
export function wallIso(at: Date, zone: string): string {
  const { date, time, offset } = wallOf(at, zone);
  return `${date}T${time}${offset}`;
}

/** `+02:00`, from seconds. */
export function offsetText(seconds: number): string {
  const size = Math.abs(seconds);
  const parts = [Math.floor(size / 3600), Math.floor(size / 60) % 60, ...(size % 60 ? [size % 60] : [])];
  return (seconds < 0 ? "-" : "+") + parts.map((part) => String(part).padStart(2, "0")).join(":");
}

/** The zone of this terminal. */
export function ownZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

function offsetAt(at: Date, zone: string): number {
  const second = Math.floor(at.getTime() / 1000);
  const parts = zoneOf(zone).span(Math.floor(second / windowS));
  return parts.find(({ start, end }) => second >= start && second < end)!.offset; // a span covers its window
}
