import { expect, test } from "vitest";
import { colors, plain, safe } from "../../cli/view/color.ts";
import { pairs, table } from "../../cli/view/table.ts";

const same = (text: string): string => text;

test("columns line up, numbers on the right, and no line ends in spaces", () => {
  const text = table(
    [
      { name: "a", count: 5, note: "" },
      { name: "longer", count: 1000, note: "x" },
    ],
    [
      { title: "NAME", cell: (row) => row.name },
      { title: "COUNT", cell: (row) => row.count, align: "right" },
      { title: "NOTE", cell: (row) => row.note },
    ],
  );

  expect(text.split("\n")).toEqual(["NAME    COUNT  NOTE", "a           5", "longer   1000  x"]);
});

test("paint changes no width", () => {
  const rows = [{ name: "a" }, { name: "bcd" }];
  const red = (text: string): string => `\u001b[31m${text}\u001b[39m`;
  const columns = [
    { title: "NAME", cell: (row: { name: string }) => row.name, paint: () => red },
    { title: "B", cell: () => "x" },
  ];

  expect(plain(table(rows, columns))).toBe(
    table(
      rows,
      columns.map(({ title, cell }) => ({ title, cell })),
    ),
  );
});

test("a cell is one line, cut at its limit, and can't steer the terminal", () => {
  const text = table([{ note: "one\ntwo \u001b[2Jthree\u0007" }], [{ title: "NOTE", cell: (row) => row.note, max: 9 }]);

  expect(text).toBe("NOTE\none two …");
});

test("pairs line up and leave out what is null", () => {
  expect(
    pairs(
      [
        ["a", 1],
        ["none", null],
        ["long name", "x"],
      ],
      same,
    ),
  ).toBe("a          1\nlong name  x");
});

test("colours are for terminals, unless NO_COLOR or FORCE_COLOR say otherwise", () => {
  const paint = (isTTY: boolean, env: NodeJS.ProcessEnv): string => colors({ isTTY }, env).red("x");

  expect(paint(true, {})).not.toBe("x");
  expect(paint(false, {})).toBe("x");
  expect(paint(true, { NO_COLOR: "1" })).toBe("x");
  expect(paint(false, { FORCE_COLOR: "1" })).not.toBe("x");
});

test.each([
  ["one\ntwo\tthree", "one\ntwo\tthree"],
  ["\u001b[31mred\u001b[39m", "red"],
  ["\u001b[2J\u001b]0;title\u0007", "\\u001b[2J\\u001b]0;title\\u0007"],
  ["a\rb\r\nc", "a\\u000db\nc"],
  ["\u009b2J \u007f", "\\u009b2J \\u007f"],
  ["user\u202egpj.exe", "user\\u202egpj.exe"],
])("%j is printed as %j", (text, shown) => {
  expect(plain(text)).toBe(shown);
});

test("the last guard lets our own colours through, and nothing else", () => {
  const paint = colors({ isTTY: true }, {});
  const { bold, dim, red, green, yellow, cyan } = paint;
  const painted = [bold, dim, red, green, yellow, cyan].map((each) => each("x")).join(" ");

  expect(safe(painted)).toBe(painted);
  expect(safe(paint.red("a\u001b[8mb\u001b[1A\u009bc"))).toBe(paint.red("a\\u001b[8mb\\u001b[1A\\u009bc"));
});
