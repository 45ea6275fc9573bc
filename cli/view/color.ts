/** Paints text for a terminal; leaves it alone anywhere else. */
export type Paint = (text: string) => string;
export interface Colors {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
}

/** Colours for a stream: on if it is a terminal. `NO_COLOR` (any text) turns them off, `FORCE_COLOR` (not "0") on. */
export function colors(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Colors {
  const on = !env.NO_COLOR && (stream.isTTY === true || (!!env.FORCE_COLOR && env.FORCE_COLOR !== "0"));
  const paint = (open: number, close: number): Paint =>
    on ? (text) => `\u001b[${open}m${text}\u001b[${close}m` : (text) => text;
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    cyan: paint(36, 39),
  };
}

/** Text that can't steer a terminal: its colours are left out, and all other control characters, and those that turn the direction of
 *  text, are written as `\u001b`. Lines and tabs stay. */
export function plain(text: string): string {
  return text
    .replace(/\u001b\[[0-9;]*m/g, "")
    .replaceAll("\r\n", "\n")
    .replace(control, escaped);
}

/** The same in one line: text in it can't look like a line of ours. */
export function oneLine(text: string): string {
  return plain(text).replace(/\s*\n\s*/g, " ");
}

/** For text that is painted already: `Colors` and lines stay. The last guard before a terminal. */
export function safe(text: string): string {
  return text.replace(painted, (part) => (part.length > 1 ? part : escaped(part)));
}

const controls = "\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069";
const control = new RegExp(`[${controls}]`, "g");
const painted = new RegExp(`\\u001b\\[(?:1|2|22|3[1236]|39)m|[${controls}]`, "g");

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
