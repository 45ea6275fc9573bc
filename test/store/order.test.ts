import fc from "fast-check";
import { expect, test } from "vitest";
import { Order } from "../../runtime/store/memory/order.ts";

interface Item {
  readonly id: number;
  readonly at: number;
}
const compare = (a: Item, b: Item): number => a.at - b.at || a.id - b.id;

test("items that come and go are held in the order of their numbers, then ids", () => {
  const command = fc.record({ at: fc.integer({ min: 0, max: 50 }), gone: fc.option(fc.nat(), { freq: 2 }) });
  const property = fc.property(fc.array(command, { maxLength: 4000, size: "max" }), fc.nat(60), (commands, end) => {
    const order = new Order<Item>(({ at }) => at);
    const plain: Item[] = [];
    for (const [id, { at, gone }] of commands.entries()) {
      plain.push({ id, at });
      order.add(plain.at(-1)!);
      if (gone !== null) expect(order.remove(plain.splice(gone % plain.length, 1)[0]!)).toBe(true);
    }

    const sorted = plain.toSorted(compare);
    expect([...order.upTo(Infinity)]).toEqual(sorted);
    expect([...order.upTo(end)]).toEqual(sorted.filter(({ at }) => at <= end));
    expect(order.count(end)).toBe(sorted.filter(({ at }) => at <= end).length);
    expect(order.count()).toBe(sorted.length);
    expect(order.first()).toBe(sorted[0]);
    expect(order.remove({ id: -1, at: 7 })).toBe(false);
  });

  fc.assert(property, { numRuns: 20, seed: 7 });
});
