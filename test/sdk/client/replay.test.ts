import { describe, expect, test } from "vitest";
import { z } from "zod";
import { InvalidInput, InvalidPayload } from "../../../sdk/port/error.ts";
import type { Entry, EntryKind } from "../../../sdk/port/flow.ts";
import type { Notes } from "../../../sdk/port/note.ts";
import { again } from "../../../sdk/client/replay.ts";
import { jsonSchemaOf } from "../../../sdk/define/schema.ts";
import { aJobRecord, aRecord, recorder } from "./recorder.ts";

/** An entry that was written at its place in seconds: `kind key`, with runs that it made. */
type Said = string | readonly [text: string, notes: Notes];

function journal(...said: readonly Said[]): readonly Entry[] {
  return said.map((each, i) => {
    const [text, notes] = typeof each === "string" ? [each, {}] : each;
    const [kind, key, ...runs] = text.split(" ");
    return {
      ...{ n: i + 1, kind: kind as EntryKind, key: key!, atMs: 1000 * (i + 1), value: null },
      data: JSON.stringify(notes),
      runs: kind === "child" ? runs.map(Number) : null,
    };
  });
}

/** What a replay from a step keeps of a journal, as `kind key runs`. */
async function kept(from: string, ...said: readonly Said[]): Promise<readonly string[] | undefined> {
  const to = { ...recorder(), flow: { ...recorder().flow, read: async () => journal(...said) } };
  const run = await again(to, aRecord({ id: 5 }), { from });
  expect(run.replayOf).toBe(5);
  return run.journal?.map(({ kind, key, runs }) => [kind, key, ...(runs ?? [])].join(" "));
}

const end = (run: number, status: Notes["status"] = "completed"): Notes => ({ run, status });

describe("from a step", () => {
  test("what was recorded before it is kept, failures that were caught included", async () => {
    expect(await kept("c", "step a", "failed b", "step c", "step d")).toEqual(["step a", "failed b"]);
    expect(await kept("b", "step a", "retry b", "retry b", "step b")).toEqual(["step a"]);
    expect(await kept("a#2", "step a", "step a#2", "step a#3")).toEqual(["step a"]);
    expect(await kept("a", "step a", "step b")).toBeUndefined();
  });

  test("tries of a step that was not over begin anew", async () => {
    expect(await kept("b", "retry a", "retry c", "step a", "step b", "step c")).toEqual(["retry a", "step a"]);
  });

  test("sleeps and time limits that were not over begin anew", async () => {
    const said: readonly Said[] = [
      ["sleep over", { until: 2500 }],
      ["sleep open", { until: 9000 }],
      ["wait over", { until: 1500 }],
      ["wait open", { until: 9000 }],
      ["wait endless", { until: null }],
      "step a",
    ];

    expect(await kept("a", ...said)).toEqual(["sleep over", "wait over", "wait endless"]);
  });

  test("signals that had come stay, those that came later are the old run's", async () => {
    expect(await kept("b", "wait go", "mail go", "mail early", "step b", "mail late")).toEqual([
      "wait go",
      "mail go",
      "mail early",
    ]);
  });

  test("children that had ended stay as they ended; others are made anew", async () => {
    const said: readonly Said[] = [
      "child one 1",
      "child two 2 3",
      "child open 4",
      ["mail two", end(2)],
      ["mail one", end(1, "failed")],
      ["mail two", end(3)],
      "step b",
      ["mail open", end(4)],
    ];

    expect(await kept("b", ...said)).toEqual(["child one 1", "child two 2 3", "mail two", "mail one", "mail two"]);
  });

  test("a batch that one failure had answered keeps what had ended, and nothing that may still run", async () => {
    const [mail, failure, done]: readonly Said[] = ["step b", ["mail all", end(2, "failed")], ["mail all", end(1)]];

    expect(await kept("b", ["child all 1 2 3", { first: true }], done!, failure!, mail!)).toEqual([
      "child all 1 2",
      "mail all",
      "mail all",
    ]);
    expect(await kept("b", ["child all 1 2 3", { first: true }], done!, mail!, failure!)).toBeUndefined();
    expect(await kept("b", "child all 1 2 3", done!, failure!, mail!)).toBeUndefined(); // it wanted all ends
  });

  test("a batch that was added in parts has ended once all parts have", async () => {
    const ends: readonly Said[] = [
      ["mail all", end(1)],
      ["mail all", end(2)],
    ];

    expect(await kept("b", "child all 1", "child all 2", ...ends, "step b")).toHaveLength(4);
    expect(await kept("b", "child all 1", ends[0]!, "step b", "child all 2", ends[1]!)).toBeUndefined();
  });

  test("a sleep or a call of other jobs can be named, too", async () => {
    expect(await kept("nap", "step a", ["sleep nap", { until: 0 }], "step b")).toEqual(["step a"]);
    expect(await kept("child", "step a", "child child 1", ["mail child", end(1)])).toEqual(["step a"]);
  });
});

describe("what can't be", () => {
  const on = (...said: readonly Said[]) => ({
    ...recorder({ find: { jobs: async () => [aJobRecord({ schema: jsonSchemaOf(z.object({ n: z.int() })) })] } }),
    flow: { ...recorder().flow, read: async () => journal(...said) },
  });

  test.each([
    [
      ["step charge", "sleep nap", "step charge#2"],
      "chrage",
      /no step "chrage"; it has charge, nap, charge#2; did you mean "charge"\?$/,
    ],
    [[], "charge", /run "run_1" can't be replayed so: its journal has no steps/],
    [["step a"], "a b", /from "a b" is not a step/],
  ])("of %j from %j", async (said, from, message) => {
    const error: unknown = await again(on(...said), aRecord(), { from }).catch((error: unknown) => error);

    expect(error).toBeInstanceOf(InvalidInput);
    expect((error as Error).message).toMatch(message);
  });

  test("another payload is checked as by trigger; a misspelt option is refused", async () => {
    const run = await again(on("step a", "step b"), aRecord(), { from: "b", payload: { n: 7 } });

    expect(run).toMatchObject({ input: { json: '{"n":7}' }, journal: [{ key: "a" }] });
    await expect(again(on(), aRecord(), { payload: { n: "x" } })).rejects.toThrow(InvalidPayload);
    await expect(again(on(), aRecord(), { step: "a" } as object)).rejects.toThrow(/no option "step"/);
  });
});
