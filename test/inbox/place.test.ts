import fc from "fast-check";
import { expect, test } from "vitest";
import { breakOf, linesTo } from "../../runtime/inbox/place.ts";

const item = `{
  "job": "mail",
  "payload": {
    "to": ["a", {"x": "}"},
      "c"],
    "to2": 1, "from": null
  },
  "retry": { "attempts": 0 }
}`;

test.each([
  [["job"], 1],
  [["payload"], 2],
  [["payload", "to"], 3],
  [["payload", "to", "1", "x"], 3],
  [["payload", "to", "2"], 4],
  [["payload", "from"], 5],
  [["retry", "attempts"], 7],
  [["retry", "delay"], 7], // it is not there: as far as there is something
  [["nothing"], 0],
  [[], 0],
])("%j is %i lines below the beginning", (path, lines) => {
  expect(linesTo(item, path)).toBe(lines);
});

test.each([
  ['{"a": 1,\n "b": tru\n}', 1, "Unexpected token"],
  ['{"a": 1,\n}', 1, "Expected double-quoted property name"],
  ['{"a":\n\n "x', 2, "Unterminated string"],
  ['{\n"a" 1}', 1, "Expected ':' after property name"],
  ["\n\nnope", 2, "Unexpected token"],
])("%j breaks %i lines below its beginning", (text, lines, why) => {
  const found = breakOf(text, thrown(text));

  expect(found.lines).toBe(lines);
  expect(found.why).toContain(why);
  expect(found.why).not.toContain("position");
});

test("every field of whatever JSON is found on its line", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue()), (holder) => {
      const text = JSON.stringify(holder, null, 2);
      const lines = text.split("\n");
      for (const key of Object.keys(JSON.parse(text) as object)) {
        if (JSON.stringify(key).includes("\\")) continue; // written with escapes: its holder is named
        expect(lines[linesTo(text, [key])]!.startsWith(`  ${JSON.stringify(key)}: `)).toBe(true);
      }
    }),
  );
});

function thrown(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return error;
  }
}
