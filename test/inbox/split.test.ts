import fc from "fast-check";
import { expect, test } from "vitest";
import { longestItem, Splitter, type Form, type Piece } from "../../runtime/inbox/split.ts";

/** The pieces of a text that comes in chunks of these sizes, in turn. */
function split(text: string | Buffer, form: Form, sizes: readonly number[] = [64]): readonly Piece[] {
  const bytes = Buffer.from(text as string);
  const splitter = new Splitter(form);
  const pieces: Piece[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    pieces.push(...splitter.push(Buffer.from(bytes.subarray(at, at + size))));
    at += size;
  }
  return [...pieces, ...splitter.end()];
}

const texts = (pieces: readonly Piece[]): readonly unknown[] =>
  pieces.map((piece) => ("text" in piece ? [piece.line, piece.text] : [piece.line, piece.error, piece.cut ?? false]));

test("a document is one item, values one after the other, or a list", () => {
  expect(texts(split('{"a":1}', "document"))).toEqual([[1, '{"a":1}']]);
  expect(texts(split('{"a":1}\n\n{"b":[2,{}]} {"c":3}', "document"))).toEqual([
    [1, '{"a":1}'],
    [3, '{"b":[2,{}]}'],
    [3, '{"c":3}'],
  ]);
  expect(texts(split('\n[\n  {"a": "]}, \\" [{"},\n  {"b":\n 2}\n]\n', "document"))).toEqual([
    [3, '{"a": "]}, \\" [{"}'],
    [4, '{"b":\n 2}'],
  ]);
  expect(texts(split("[]", "document"))).toEqual([]);
  expect(texts(split('[1, true ,"x"]', "document"))).toEqual([
    [1, "1"],
    [1, "true"],
    [1, '"x"'],
  ]);
});

test("lines are items, empty ones are none, and the last may go without its end", () => {
  expect(split('{"a":1}\r\n\n  \n{"b":2}\n{"c":', "lines", [5])).toEqual([
    { line: 1, text: '{"a":1}\r' },
    { line: 4, text: '{"b":2}' },
    { line: 5, text: '{"c":', open: true },
  ]);
});

test.each([
  ["[{},]", [1, 'a comma is followed by "]"', false]],
  ["[{}\n{}]", [2, "a comma is missing between two items", false]],
  ["[,{}]", [1, "a comma is where an item should be", false]],
  ["{},{}", [1, "a comma is where an item should be", false]],
  ["[{}] \n{}", [2, "something follows the end of the list", false]],
  ["}", [1, '"}" is where an item should be', false]],
  ["[{},\n{}", [2, 'the file ends without the "]" of its list', true]],
  ['[\n{"a":[1,', [2, "the file ends within the item that begins here", true]],
  ['{"a":"', [1, "the file ends within the item that begins here", true]],
])("%j breaks where it is broken, and says so", (text, last) => {
  expect(texts(split(text, "document")).at(-1)).toEqual(last);
});

test("a byte order mark is left out; another encoding is named", () => {
  expect(texts(split("\ufeff{}", "document"))).toEqual([[1, "{}"]]);
  expect(texts(split(Buffer.from("\ufeff{}", "utf16le"), "document"))).toEqual([
    [1, "the file is UTF-16; save it as UTF-8", false],
  ]);
  expect(texts(split(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), "lines"))).toEqual([
    [1, "the item is not UTF-8; save the file as UTF-8", false],
  ]);
});

test.each(["lines", "document"] as const)("an item that is too long is refused alone, in %s", (form) => {
  const long = JSON.stringify({ a: "x".repeat(longestItem) });

  const pieces = texts(split(`{"a":1}\n${long}\n{"b":2}\n`, form, [65_536]));

  expect(pieces).toEqual([
    [1, '{"a":1}'],
    [2, "the item is longer than 1 MiB; store what is large elsewhere, and pass its id", false],
    [3, '{"b":2}'],
  ]);
});

const value = fc.jsonValue({ maxDepth: 4 });
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });

test("whatever the chunks, a list comes apart into its values, each at its line", () => {
  fc.assert(
    fc.property(fc.array(value), fc.constantFrom(undefined, 2), sizes, (values, indent, chunks) => {
      const text = JSON.stringify(values, null, indent);

      const pieces = split(text, "document", chunks);

      expect(pieces.map((piece) => JSON.parse((piece as { text: string }).text) as unknown)).toEqual(
        values.map((one) => JSON.parse(JSON.stringify(one)) as unknown),
      );
      for (const piece of pieces) {
        const { line, text: part } = piece as { line: number; text: string };
        expect(
          text
            .split("\n")
            .slice(line - 1)
            .join("\n"),
        ).toContain(part);
        expect(text.split("\n")[line - 1]).toContain(part.split("\n", 1)[0]);
      }
    }),
  );
});

test("whatever the chunks, lines and values come apart into the same pieces", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ a: value })), sizes, (values, chunks) => {
      const text = values.map((one) => `${JSON.stringify(one)}\n`).join("");

      expect(texts(split(text, "lines", chunks))).toEqual(texts(split(text, "document", chunks)));
    }),
  );
});

test("no bytes make it throw, and what it answers does not depend on the chunks", () => {
  const bytes = fc.array(fc.constantFrom(...Buffer.from('{}[],:"\\ \n1a\u00e9')), { maxLength: 40 });
  fc.assert(
    fc.property(bytes, sizes, fc.constantFrom<Form>("lines", "document"), (all, chunks, form) => {
      expect(split(Buffer.from(all), form, chunks)).toEqual(split(Buffer.from(all), form, [1000]));
    }),
  );
});
