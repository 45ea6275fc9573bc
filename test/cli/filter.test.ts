import { expect, test } from "vitest";
import { formatId } from "../../sdk/port/id.ts";
import { BadUsage } from "../../cli/error.ts";
import { filter, instant, numbers, whole } from "../../cli/filter.ts";
import { flags } from "./given.ts";

const now = new Date("2030-01-02T00:00:00Z");

test("no flags are no filter", () => {
  expect(filter(flags(), now)).toEqual({});
});

test("every flag becomes its field", () => {
  const given = flags({
    ...{ status: "failed,canceled", job: "remind", queue: "mail", tag: ["a,b", "c"], key: "k", error: "timeout" },
    ...{ since: "1h", until: "2030-01-01T12:00:00Z", payload: ["user.id=42", "note=a=b,c"] },
  });

  expect(filter(given, now)).toEqual({
    status: ["failed", "canceled"],
    job: ["remind"],
    queue: ["mail"],
    tags: ["a,b", "c"],
    key: "k",
    error: "timeout",
    createdAfter: new Date("2030-01-01T23:00:00Z"),
    createdBefore: new Date("2030-01-01T12:00:00Z"),
    payload: [
      { path: ["user", "id"], value: "42" },
      { path: ["note"], value: "a=b,c" },
    ],
  });
});

test.each([
  [{ status: "faild" }, /"faild" is not one of pending.*did you mean "failed"\?/],
  [{ since: "yesterday" }, /--since: "yesterday" is neither an ISO time/],
  [{ until: "2030-13-01" }, /--until: "2030-13-01"/],
  [{ since: "99999999d" }, /--since: .*longer than 100 years/],
  [{ payload: "user" }, /--payload: "user" is not a path and a value/],
  [{ payload: "user..id=1" }, /--payload/],
])("%j is refused by name", (given, message) => {
  expect(() => filter(flags(given), now)).toThrow(BadUsage);
  expect(() => filter(flags(given), now)).toThrow(message);
});

test("an instant that was not given is null", () => {
  expect(instant("--before", null, now)).toBeNull();
});

test("ids become numbers, each once; what is none is refused", () => {
  expect(numbers([formatId(7), formatId(8), formatId(7)])).toEqual([7, 8]);
  expect(() => numbers(["7"])).toThrow(/run id: "7" is not a run id/);
});

test("whole numbers are checked against their bounds", () => {
  expect([whole("--limit", "200", 1, 200), whole("--limit", null, 1, 200)]).toEqual([200, undefined]);
  expect(() => whole("--limit", "201", 1, 200)).toThrow(/--limit: "201" is not a whole number from 1 to 200/);
  expect(() => whole("--limit", "1.5", 1, 200)).toThrow(BadUsage);
});
