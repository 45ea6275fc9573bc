import { epoch } from "../../runtime/store/postgres/sql/part.ts";
import { expect, test } from "vitest";
import { date, flag, json, list, maybe, number, shape, wire, word } from "../../runtime/store/postgres/sql/shape.ts";

const head = shape({ nowMs: number });
const run = shape({
  id: number,
  job: word(),
  input: wire,
  canceling: flag,
  expiresMs: maybe(number),
  tags: list<string>(),
  options: maybe(json<{ readonly attempts: number }>()),
});

test("columns are selected in the order in which they are read, however they are given", () => {
  const columns = run.select({
    ...{ options: "o", tags: "t", expiresMs: "e", canceling: "c", input: ["i", "m"], job: "j", id: "r.id" },
  });

  expect(columns).toBe("r.id, j, i, m, c, e, t, o");
  expect(run.width).toBe(columns.split(", ").length);
});

test("a row is read by the names of its columns, from where they begin", () => {
  const row = ["1700", "7", "mail", "{}", null, "t", null, '["a"]', '{"attempts":2}'];

  expect(head.read(row)).toEqual({ nowMs: 1700 });
  expect(run.read(row, head.width)).toEqual({
    ...{ id: 7, job: "mail", input: { json: "{}", meta: null }, canceling: true, expiresMs: null, tags: ["a"] },
    options: { attempts: 2 },
  });
});

test("rows that a left join left empty are no records", () => {
  const none = ["1700", null, null, null, null, null, null, null, null];

  expect(run.all([none], head.width)).toEqual([]);
});

test("places tell where a column is, past one that takes two", () => {
  const at = run.at(head.width);

  expect([at.id, at.job, at.input, at.canceling, at.options]).toEqual([1, 2, 3, 5, 8]);
});

test("what is not given is selected as the column of that name, as its reader wants it", () => {
  const node = shape({ id: number, seenAt: date, leftAt: maybe(date), jobs: list<string>(), input: wire });

  const columns = node.from("n", { id: "n.run", input: ["n.input", "n.meta"] });

  expect(columns).toBe(`n.run, ${epoch("n.seen_at")}, ${epoch("n.left_at")}, to_json(n.jobs), n.input, n.meta`);
});
