import { describe, expect, test } from "vitest";
import { InvalidInput } from "../../../sdk/port/error.ts";
import type { Entry, EntryKind } from "../../../sdk/port/flow.ts";
import { editOf, mend, type Fix } from "../../../sdk/client/mend.ts";
import { aRecord, recorder } from "./recorder.ts";

/** Entries as `kind key`, numbered as they stand. */
function journal(...said: readonly string[]): readonly Entry[] {
  return said.map((text, i) => {
    const [kind, key, ...runs] = text.split(" ");
    const ends = kind === "mail" && runs.length > 0;
    return {
      ...{ n: i + 1, kind: kind as EntryKind, key: key!, atMs: i, value: null },
      data: ends ? JSON.stringify({ run: Number(runs[0]) }) : null,
      runs: kind === "child" ? runs.map(Number) : null,
    };
  });
}

function mended(fix: Fix, ...said: readonly string[]): string | readonly string[] {
  const edited = editOf(fix)(journal(...said));
  return typeof edited === "string" ? edited : edited.map(({ kind, key }) => `${kind} ${key}`);
}

describe("renameStep", () => {
  test("renames all calls of a name, with their numbers", () => {
    const fix = { renameStep: { from: "charge", to: "pay" } };

    const after = mended(fix, "step charge", "retry charge#2", "step mail", "failed charge#2", "mail charge");

    expect(after).toEqual(["step pay", "retry pay#2", "step mail", "failed pay#2", "mail charge"]);
  });

  test("renames one call; the later ones of the old name move up", () => {
    expect(mended({ renameStep: { from: "a#2", to: "b" } }, "step a", "step a#2", "step a#3")).toEqual([
      "step a",
      "step b",
      "step a#2",
    ]);
    expect(mended({ renameStep: { from: "a#1", to: "b" } }, "step a", "step a#2")).toEqual(["step b", "step a"]);
  });

  test("a sleep is renamed where no step has that name", () => {
    const fix = { renameStep: { from: "nap", to: "rest" } };

    expect(mended(fix, "sleep nap", "step a")).toEqual(["sleep rest", "step a"]);
    expect(mended(fix, "sleep nap", "step nap")).toEqual(["sleep nap", "step rest"]);
  });

  test("says why not: no such step, the new name is taken, or what is sent comes under the old one", () => {
    expect(mended({ renameStep: { from: "chrage", to: "pay" } }, "step charge")).toBe(
      'its journal has no step "chrage"; it has charge; did you mean "charge"?',
    );
    expect(mended({ renameStep: { from: "a", to: "b" } }, "step a", "step b#2")).toBe(
      'its journal has a step "b" already',
    );
    expect(mended({ renameStep: { from: "paid", to: "b" } }, "wait paid")).toContain("only steps and sleeps");
  });
});

describe("skip", () => {
  test("takes out all entries of a name, or of one call", () => {
    const before = ["retry a", "step b", "step a", "step a#2", "step a#3"] as const;

    expect(mended({ skip: "a" }, ...before)).toEqual(["step b"]);
    expect(mended({ skip: "a#1" }, ...before)).toEqual(["step b", "step a", "step a#2"]);
    expect(mended({ skip: "a#2" }, ...before)).toEqual(["retry a", "step b", "step a", "step a#2"]);
    expect(mended({ skip: "a#4" }, ...before)).toContain('no step "a#4"');
  });
});

describe("from", () => {
  test("takes out a step and what came after it, but for what was sent", () => {
    const after = mended({ from: "b" }, "step a", "retry b", "sleep nap", "mail go", "step b", "wait go", "mail x");

    expect(after).toEqual(["step a", "mail go", "mail x"]);
  });

  test("keeps ends of runs that were made before, and drops those of runs that are to be made again", () => {
    const after = mended({ from: "b" }, "child one 7", "step b", "child two 8", "mail two 8", "mail one 7");

    expect(after).toEqual(["child one", "mail one"]);
  });
});

test("without a fix the journal stays", () => {
  expect(mended({}, "step a")).toEqual(["step a"]);
});

describe("pin", () => {
  const acts = async (fix: Fix, ...entries: readonly Partial<Entry>[]) => {
    const known = entries.map((entry, i) => ({ ...journal(`step s${i}`)[0]!, ...entry, n: i + 1 }));
    const to = recorder({ find: { get: async () => aRecord({ status: "waiting" }) } });
    const acted = await mend({ ...to, flow: { ...to.flow, read: async () => known } }, [1], fix);
    return [acted[0]!.why, to.acts[0]?.slice(3)];
  };

  test("names the version that wrote the journal last, another, or none; other fixes leave it as it is", async () => {
    const written = [{ data: '{"version":"1"}' }, { data: '{"version":"2"}' }, { data: "{}" }];

    expect(await acts({ pin: true }, ...written)).toEqual([undefined, [3, "2"]]);
    expect(await acts({ pin: "1.4.2" })).toEqual([undefined, [0, "1.4.2"]]);
    expect(await acts({ pin: false })).toEqual([undefined, [0, null]]);
    expect(await acts({})).toEqual([undefined, [0, undefined]]);
  });

  test("says why not: nothing tells the version", async () => {
    expect(await acts({ pin: true }, { data: "{}" })).toEqual([
      expect.stringMatching(/does not tell the version/),
      undefined,
    ]);
    expect(() => editOf({ pin: "" })).toThrow(/pin/);
    expect(() => editOf({ pin: true, skip: "a" })).toThrow("one thing");
  });
});

test("what is not a fix is refused by name", () => {
  expect(() => editOf({ skip: "a", from: "b" })).toThrow("one thing");
  expect(() => editOf({ skip: "a b" })).toThrow(/skip "a b" is not a step/);
  expect(() => editOf({ renameStep: { from: "a", to: "b#2" } })).toThrow(/renameStep.to "b#2" is not a name/);
  expect(() => editOf({ rename: "a" } as Fix)).toThrow(InvalidInput);
});
