import { plain, type Paint } from "./color.ts";

/** The data of a log line for people: a flat object as `name=Ada count=3`, anything else as JSON after `label`. */
export function fields(data: unknown, label: string, paint: Paint): string {
  if (!isFlat(data)) return `${paint(label)}${plain(JSON.stringify(data))}`;
  return Object.entries(data)
    .map(([name, value]) => `${paint(`${name}=`)}${word(value)}`)
    .join("  ");
}

/** A value as one word: text bare where nothing in it could be taken for something else, else as JSON. */
function word(value: unknown): string {
  return plain(typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value));
}

function isFlat(data: unknown): data is Readonly<Record<string, unknown>> {
  if (typeof data !== "object" || data === null || Array.isArray(data)) return false;
  const entries = Object.entries(data);
  return (
    entries.length > 0 &&
    entries.every(([name, value]) => /^[\w.$-]+$/.test(name) && (typeof value !== "object" || value === null))
  );
}
