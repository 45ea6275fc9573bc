import { expect, test } from "vitest";
import { near } from "../../../sdk/port/near.ts";

const known = ["remind", "report", "invoice.send", "cleanup"];

test.each([
  ["remnid", ["remind"]],
  ["rep", ["report"]],
  ["invoice-send", ["invoice.send"]],
  ["xyz", []],
  ["", []],
])("%j looks like %j", (word, expected) => {
  expect(near(word, known)).toEqual(expected);
});

test("three at most, the nearest first", () => {
  expect(near("jobs1", ["jobs5", "jobs1x", "jobs1", "jobs2", "jobs3"])).toEqual(["jobs1", "jobs1x", "jobs2"]);
});

test("a word of 100 KB takes no time", () => {
  expect(near("x".repeat(100_000), known)).toEqual([]);
});
