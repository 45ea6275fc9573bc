import { describe, expect, test, vi } from "vitest";
import type { Note } from "../../../runtime/store/port.ts";
import { clean } from "../../../sdk/port/text.ts";
import { aBench, aJob, deferred, turns, withRuns } from "../kit.ts";

describe("lines of a run", () => {
  test.each([
    ["many bytes a character", { t: "é".repeat(5000) }],
    ["many characters that are escaped", { t: '"'.repeat(8000) }],
    ["many fields", Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`field ${i}`, "€"]))],
    ["control characters", ["\u0001".repeat(8000)]],
    ["halves of surrogate pairs, where it is cut", ["😀".repeat(4000)]],
  ])("have data that is JSON, within what a store keeps of it: %s", async (_what, data) => {
    const bench = await aBench({ jobs: [aJob((_payload, { log }) => log.info("long", data))] });
    const write = vi.spyOn(bench.store.runs, "note");

    await bench.add();

    const [line] = write.mock.calls.flatMap(([batch]) => batch[0]!.lines!);
    expect(bench.lines.find(({ message }) => message === "long")?.fields["data"]).toEqual(JSON.parse(line!.data!));
    expect(clean(line!.data!, 8192)).toBe(line!.data);
    expect(JSON.parse(line!.data!)).toMatchObject({ cut: expect.stringMatching(/…$/) as string });
  });

  test("that fit are stored whole", async () => {
    const data = { t: "é".repeat(4000) };
    const bench = await aBench({ jobs: [aJob((_payload, { log }) => log.info("fits", data))] });
    const write = vi.spyOn(bench.store.runs, "note");

    await bench.add();

    expect(JSON.parse(write.mock.calls[0]![0][0]!.lines![0]!.data!)).toEqual(data);
  });

  test("that are written while a run's are stored do not hold up its end", async () => {
    const writes: { readonly batch: readonly Note[]; end(): void }[] = [];
    const chat = deferred();
    const bench = await aBench(
      {
        jobs: [
          aJob((payload, { log }) => {
            log.info(`start of ${JSON.stringify(payload)}`);
            return payload === "chatty" ? chat.promise.then(() => log.info("more")) : undefined;
          }),
        ],
      },
      (store) =>
        withRuns(store, () => ({
          note: (batch) => new Promise((resolve) => writes.push({ batch, end: () => resolve([]) })),
        })),
    );
    const id = await bench.add();

    const first = writes.length;
    await bench.add({ input: { json: '"chatty"', meta: null } }); // a line that comes while the first write is under way
    const before = (await bench.get(id)).status;
    writes[0]!.end();
    await turns();
    const after = (await bench.get(id)).status;
    chat.resolve();
    await turns();

    expect(first).toBe(1);
    expect([before, after]).toEqual(["leased", "completed"]);
    expect(writes).toHaveLength(2);
    expect(writes[1]!.batch.flatMap(({ lines }) => lines!.map(({ message }) => message))).toEqual([
      'start of "chatty"',
      "more",
    ]);
  });
});
