/** Where in the text of an item something is, so that errors can name a line. */

const token = /[ \t\r\n]*(?:([{}[\],:])|"((?:[^"\\]|\\.)*)"|[-+.\w]+)/sy;

/** How many lines below its beginning the value at a path stands in a JSON text; as much of the path as is there. */
export function linesTo(json: string, path: readonly string[]): number {
  return linesBefore(json, offsetOf(json, path));
}

/** How many lines below the beginning of a text JSON breaks off, and why. `error` is what JSON.parse threw. */
export function breakOf(json: string, error: unknown): { readonly lines: number; readonly why: string } {
  const said = error instanceof Error ? error.message : String(error);
  const at = / at position (\d+)/.exec(said)?.[1];
  const why = said.replace(/,? (?:\.\.\.)?".*/s, "").replace(/ in JSON at position .*/s, "");
  return { lines: linesBefore(json, at === undefined ? strangeAt(json) : Number(at)), why };
}

/** Where the first thing stands that is no part of JSON. */
function strangeAt(json: string): number {
  let at = 0;
  token.lastIndex = 0;
  for (let found = token.exec(json); found; found = token.exec(json)) {
    const word = found[1] === undefined && found[2] === undefined ? found[0].trim() : null;
    if (word !== null && !/^(?:true|false|null|-?\d[\d.eE+-]*)$/.test(word)) break;
    at = token.lastIndex;
  }
  return at + /^\s*/.exec(json.slice(at))![0].length;
}

/** Walks a valid JSON text along the path. */
function offsetOf(json: string, path: readonly string[]): number {
  let best = 0;
  let wanted = 0; // parts of the path that were found
  const trail: { readonly list: boolean; key: string; index: number }[] = [];
  let isKey = false;
  token.lastIndex = 0;
  for (let found = token.exec(json); found && wanted < path.length; found = token.exec(json)) {
    const [whole, sign, text] = found;
    const inner = trail.at(-1);
    if (sign === "," && inner?.list) inner.index++;
    if (sign === "}" || sign === "]") trail.pop();
    isKey = sign === "{" || (sign === "," && inner?.list === false) || (isKey && sign === undefined);
    if (sign === undefined && isKey && inner) {
      inner.key = text ?? "";
      isKey = false;
    }
    const isValue = sign === undefined || sign === "{" || sign === "[";
    if (isValue && inner && trail.length === wanted + 1 && partOf(inner) === path[wanted]) {
      best = token.lastIndex - whole.trimStart().length;
      wanted++;
    }
    if (sign === "{" || sign === "[") trail.push({ list: sign === "[", key: "", index: 0 });
  }
  return best;
}

function partOf({
  list,
  key,
  index,
}: {
  readonly list: boolean;
  readonly key: string;
  readonly index: number;
}): string {
  return list ? String(index) : key;
}

function linesBefore(text: string, end: number): number {
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0 && at < end; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
}
